"""What the page needs to know once: the examples, the rules, the ops, and whether there is a device.

>>> info(State(), {})["rules"]["add_zero"]["text"]
'x + 0 => x assumes no_signed_zero'
"""

from __future__ import annotations

import platform
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from anneal import rules
from anneal.autodiff.backward import PASS_RULES
from anneal.errors import AnnealError
from anneal.ir.ops import ALL_OPS
from anneal.runtime.device import get_device
from anneal.viz import messages
from anneal.viz.messages import DeviceDoc, ExampleDoc, Params, RuleDoc
from anneal.viz.state import State

EXAMPLES: Final = ("mlp", "conv", "matmul", "softmax", "layernorm", "attention", "gradient", "transformer")
"""The programs for the editor, in the order of the menu."""


def example(name: str) -> ExampleDoc:
    """A program for the editor; its docstring is its title and what there is to see."""
    source = resources.files("anneal.viz.programs").joinpath(f"{name}.py").read_text(encoding="utf-8")
    head = source.split('"""')[1]
    title, _, doc = head.partition("\n")
    return {"name": name, "title": title.strip().rstrip("."), "doc": " ".join(doc.split()), "source": source, "part": None}


def rule(row: rules.Rule) -> RuleDoc:
    """A rule as it is written."""
    file = f"anneal/rules/{row.file}"
    return {"group": row.group, "text": row.text, "doc": row.doc, "file": file, "line": row.line, "assumes": list(row.assumes)}


def of_pass(name: str) -> RuleDoc:
    """What differentiation does itself, beside the rules that are written."""
    return {"group": "gradient", "text": "", "doc": PASS_RULES.get(name, ""), "file": "anneal/autodiff/backward.py", "line": 0, "assumes": []}


def device(state: State) -> DeviceDoc:
    """What there is to run on."""
    message = state.no_device
    if message is None:
        try:
            found = get_device()
        except AnnealError as error:
            message = str(error)
        else:
            return {"available": True, "description": found.description, "message": "", "remedy": "", "features": list(getattr(found, "features", ()))}
    reason, _, remedy = message.partition(": ")
    return {"available": False, "description": "", "message": _sentence(reason), "remedy": _sentence(remedy), "features": []}


def _sentence(text: str) -> str:
    """A part of a message as a sentence."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', ')')) or not text else '.'}"


def release() -> str:
    """The package's version; empty where it is not installed."""
    try:
        return version("anneal-compiler")
    except PackageNotFoundError:
        return ""


def info(state: State, params: Params) -> messages.Info:  # noqa: ARG001 - as all answers
    """Everything that does not depend on a program."""
    return {
        "version": release(),
        "python": platform.python_version(),
        "source_hash": state.source_hash,
        "examples": [example(name) for name in EXAMPLES],
        "rules": {row.name: rule(row) for row in rules.RULES} | {name: of_pass(name) for name in PASS_RULES},
        "ops": {op.name: op.doc for op in ALL_OPS},
        "device": device(state),
    }
