"""`anneal kernels --diff`: what a side says, and what differs, as text.

A side is words as on the command line: a model, a part (`forward`, `backward`, `step`, or as an option), `--batch`, `--device`. What it
leaves out is as the command has it.

>>> side("conv step", Namespace(model="mlp", part="forward", batch=32, device=None)).label
'conv --step --batch 32'
"""

from __future__ import annotations

import difflib
import shlex
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from anneal.cli import options as shared
from anneal.cli.highlight import wgsl
from anneal.cli.output import Style
from anneal.errors import UsageError
from anneal.export.schema.graph import Part
from anneal.export.schema.kernels import Change, Difference, Pair
from anneal.runtime.explain_text import number, wrap

_LISTS: Final = ("ops", "inputs", "outputs", "materialised")
_PARTS: Final = ("forward", "backward", "step")
_TOTALS: Final = {
    "uops": "UOps",
    "kernels": "kernels",
    "kernels_fused": "fuse phases",
    "flops": "flops",
    "bytes": "bytes moved",
    "buffer_bytes": "buffer bytes",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One side of a comparison."""

    model: str | None
    part: Part
    batch: int | None
    device: str | None

    @property
    def label(self) -> str:
        """The side as one would type it."""
        options = {"--batch": self.batch, "--device": self.device}
        part = [] if self.part == "forward" else [f"--{self.part}"]
        return " ".join([self.model or "", *part, *(f"{name} {value}" for name, value in options.items() if value is not None)])


def side(text: str, base: Namespace) -> Asked:
    """What a side says, on top of the command's own arguments."""
    parser = shared.Parser(prog="anneal kernels --diff")
    parser.add_argument("words", nargs="*")
    shared.add_part(parser)
    parser.add_argument("--forward", dest="part", action="store_const", const="forward")
    shared.add_device(parser, "")
    parser.set_defaults(part=None)
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--diff {text!r}: {error}") from error
    found = parser.parse_args(words)
    parts = [w for w in found.words if w in _PARTS]
    models = [w for w in found.words if w not in _PARTS]
    if len(models) > 1 or len(parts) + (found.part is not None) > 1:
        raise UsageError(f"--diff {text!r}: a side is one model and one of {', '.join(_PARTS)}")
    part = cast("Part", found.part or (parts[0] if parts else base.part))
    return Asked(models[0] if models else base.model, part, found.batch or base.batch, found.device or base.device)


def lines(document: Difference, labels: Sequence[str], style: Style, width: int, *, source: bool) -> list[str]:
    """The comparison as text: totals, then each pair of kernels."""
    made = [style.bold(f"a: {labels[0]}"), style.bold(f"b: {labels[1]}")]
    a, b = document["a"], document["b"]
    rows = [(title, number(a[key]), number(b[key]), _ratio(a[key], b[key])) for key, title in _TOTALS.items()]  # type: ignore[literal-required]
    wide = [max(len(row[i]) for row in rows) for i in range(3)]
    made += ["", *(f"   {r[0]:<{wide[0]}}  {r[1]:>{wide[1]}}  {r[2]:>{wide[2]}}  {r[3]}".rstrip() for r in rows), ""]
    for pair in document["pairs"]:
        made += _pair(pair, style, width, source=source)
    same = sum(_state(p) == "same" for p in document["pairs"])
    states = Counter(_state(p) for p in document["pairs"])
    told = ", ".join(f"{states[s]} {s}" for s in ("changed", "only in a", "only in b") if states[s])
    end = "the same plan" if a["fingerprint"] == b["fingerprint"] else f"{same} kernels are the same{', ' if told else ''}{told}"
    return [*made, "", *wrap(end, width)]


def _ratio(a: int, b: int) -> str:
    return "" if a == b or not a else f"{b / a:.2f} times"


def _state(pair: Pair) -> str:
    if pair["a"] is None or pair["b"] is None:
        return "only in b" if pair["a"] is None else "only in a"
    return "changed" if pair["changes"] else "same"


def _pair(pair: Pair, style: Style, width: int, *, source: bool) -> list[str]:
    """A pair of kernels: one line, and one for each change."""
    state = _state(pair)
    name = " -> ".join(dict.fromkeys(n for n in (pair["a"], pair["b"]) if n))
    made = [f"{state:<9}  {style.bold(name)}  {style.phases(pair['phases'])}"]
    for change in pair["changes"]:
        if change["what"] == "wgsl":
            made += _source(change, style) if source else [f"{'':11}wgsl: {_counted(change)}"]
        else:
            made += (part for line in _change(change) for part in wrap(line, width, " " * 11))
    return made


def _change(change: Change) -> list[str]:
    """What changed, in words; of lists, what only one side has."""
    what, a, b = change["what"], change["a"], change["b"]
    if what not in _LISTS:
        return [f"{what}: {_shown(a)} -> {_shown(b)}"]
    found = []
    for name, items in (("a", a), ("b", b)):
        counted = [item if n == 1 else f"{n} {item}" for item, n in Counter(items).items()]
        listed = counted if what == "materialised" else [", ".join(counted)] if counted else []
        found += [f"{what}, only in {name}: {text}" for text in listed]
    return found


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ("+" if isinstance(value[0], str) else " by ").join(map(str, value))
    return number(value)


def _counted(change: Change) -> str:
    """How much of the source differs."""
    found = list(difflib.ndiff(change["a"].splitlines(), change["b"].splitlines()))
    gone, new = (sum(line.startswith(mark) for line in found) for mark in ("- ", "+ "))
    return f"{gone} lines only in a, {new} only in b"


def _source(change: Change, style: Style) -> list[str]:
    """The difference of the sources, as `diff -u` prints it."""
    found = difflib.unified_diff(change["a"].splitlines(), change["b"].splitlines(), "a", "b", lineterm="", n=2)
    return [" " * 11 + (line[:1] + wgsl(line[1:], style) if not line.startswith(("---", "+++", "@@")) else style.dim(line)) for line in found]
