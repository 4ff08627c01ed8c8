"""Pages of the documentation that the compiler writes about itself: rules, operations, stages, commands, documents.

Each page is made from what the compiler runs: the `.upat` files, the op table, the pipeline's stages, the parsers, the TypedDicts.

>>> pages()["reference/ops.md"].splitlines()[0]
'# Operations'
"""

from __future__ import annotations

import argparse
import ast
import inspect
import pkgutil
import re
import sys
import types
from collections.abc import Iterator, Sequence
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Final, Literal, NotRequired, Union, get_args, get_origin, get_type_hints

from anneal import rules
from anneal.cli.main import VERBS, parser_of
from anneal.export import schema
from anneal.ir.dtype import TENSOR_DTYPES, promote
from anneal.ir.ops import ALL_OPS, Category, Op
from anneal.rewrite.compile import FOLDER, handler_names, read_folder
from anneal.rewrite.terms import ASSUMPTIONS, CLASSES
from anneal.rewrite.upat import Gradient, Statement
from anneal.runtime.pipeline import STAGES

CATEGORIES: Final[dict[Category, str]] = {
    "leaf": "Leaves: where values come from",
    "unary": "Elementwise, one operand",
    "binary": "Elementwise, two operands",
    "ternary": "Elementwise, three operands",
    "movement": "Movement: the same elements elsewhere",
    "reduce": "Reductions of tensors",
    "tensor": "Other operations on tensors",
    "kernel": "In the body of a kernel",
    "program": "In a kernel's list of instructions",
}
_HANDLERS: Final = handler_names(FOLDER)
_JSON: Final[dict[object, str]] = {str: "text", int: "whole number", float: "number", bool: "truth value", types.NoneType: "null"}
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")  # argparse paints for terminals
_WIDTH: Final = 88
_RULES: Final = """\
A rewrite rule says what may take the place of what: `x + 0 => x`. Every simplification and every gradient is such a rule, and these pages
are made from the files that the compiler reads. How to read them is told in the [tour](../../tour/rules.md)."""
_OPS: Final = """\
Every node of a graph has one of these operations; there are no others. Programs are written with the [methods of `Tensor`](python/tensor.md),
which build graphs of the few that may stand in a tensor graph; the compiler's passes bring in those of kernels."""
_STAGES: Final = """\
A program goes through these stages, one after the other. Each leaves behind what the next relies on, and the tests check that it does.
`anneal explain simplified` tells what one of them did to an example."""
_SURFACE: Final = """\
Every row is tested: the values, shapes, dtypes and gradients are those of PyTorch's CPU, on the reference device and on a GPU, for the dtypes that are
named and for the special values of floats. *Kernels* is how many the forward pass compiles to by itself, from realised tensors; in a program it fuses with
its neighbours. Integers are 32-bit where PyTorch has 64. The rest of `Tensor` is in its [reference](python/tensor.md)."""
_PROMOTION: Final = """\
Tensors of two dtypes meet in the least dtype that holds both; a Python number takes the tensor's dtype, but for a float with an integer tensor, which
makes float32. Where the table names a dtype of 64 bits, which no buffer holds, combining the two is an error that says which cast to write."""
_COMMANDS: Final = """\
Options may stand anywhere. `--json` prints one JSON document on stdout and nothing else there; its form is under
[JSON documents](documents.md). Messages go to stderr. Exit codes: 0 done, 1 failed at run time, 2 wrong usage, 3 no usable device."""


def pages() -> dict[str, str]:
    """Every generated page: its path below `docs/`, and its Markdown."""
    made = {"reference/ops.md": ops(), "reference/stages.md": stages(), "reference/commands.md": commands(), "reference/documents.md": documents()}
    made["reference/surface.md"] = surface()
    made["reference/promotion.md"] = promotion()
    found = statements()
    made["reference/rules/index.md"] = rule_groups(found)
    return {**made, **{f"reference/rules/{group}.md": rule_group(group, found[group]) for group in found}}


# The surface of tensors


@cache
def surface() -> str:
    """Each method of `Tensor` that is compared with PyTorch, with its dtypes, whether it has a gradient, and its kernels."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "surface"))
    from surface import rows

    found = [(f"`{method}`", dtypes, gradient, str(kernels)) for method, dtypes, gradient, kernels in rows()]
    sys.path.pop(0)
    return "\n\n".join(("# Methods compared with PyTorch", _SURFACE, table(("method", "dtypes", "gradient", "kernels"), found))) + "\n"


def promotion() -> str:
    """The dtype of `a + b` for every two dtypes."""
    rows = [(f"**{a.name}**", *(promote(a, b).name for b in TENSOR_DTYPES)) for a in TENSOR_DTYPES]
    return "\n\n".join(("# Promotion", _PROMOTION, table(("", *(d.name for d in TENSOR_DTYPES)), rows))) + "\n"


# Rules


def statements() -> dict[str, list[Statement | Gradient]]:
    """The rules as they are written, by group, in the order of their files."""
    groups: dict[str, list[Statement | Gradient]] = {}
    for file in read_folder(FOLDER):
        groups.update({name: [] for name in file.groups})
        both: list[Statement | Gradient] = [*file.rules, *file.gradients]
        for statement in sorted(both, key=lambda s: s.line):
            groups[statement.group].append(statement)
    return groups


def rule_groups(found: dict[str, list[Statement | Gradient]]) -> str:
    """The page of all groups."""
    rows = [(f"[{g}]({g}.md)", rules.TITLES[g], str(len(s)), f"`{s[0].file}`" if s else "", where(g)) for g, s in found.items()]
    names = [f"[`{s.name}`]({g}.md#{s.name})" for g, members in found.items() for s in members]
    return "\n\n".join(
        [
            "# Rules",
            _RULES,
            table(("group", "what it holds", "rules", "file", "used for"), rows),
            "What a rule may take for granted beyond the arithmetic of IEEE 754:",
            table(("assumption", "meaning"), [(f"`{name}`", meaning) for name, meaning in ASSUMPTIONS.items()]),
            "Patterns may name a class of operations:",
            table(("class", "operations"), [(f"`{name}`", ", ".join(f"`{op.name}`" for op in members)) for name, members in CLASSES.items()]),
            "## All rules",
            " · ".join(names),
        ]
    )


def where(group: str) -> str:
    """What the compiler uses a group for."""
    uses = {"graphs of tensors": ("after_autodiff", *rules.TENSOR), "bodies of kernels": rules.KERNEL, "gradients": ("gradient",)}
    return ", ".join(use for use, groups in uses.items() if group in groups)


def rule_group(group: str, members: Sequence[Statement | Gradient]) -> str:
    """The page of one group."""
    return "\n\n".join([f"# {group}", f"{rules.TITLES[group]}. Used for {where(group)}.", *(rule(s) for s in members)])


def rule(statement: Statement | Gradient) -> str:
    """One rule: its text, what it says in words, what must hold, what computes its result."""
    text = statement.text if isinstance(statement, Gradient) else f"{statement.name}: {statement.text}"
    parts = [f"## {statement.name} {{ #{statement.name} }}", fence("python", text)]
    if statement.doc:
        parts.append(f"{statement.doc[0].upper()}{statement.doc[1:]}.")
    facts = []
    if isinstance(statement, Statement):
        facts += [f"- Only where `{ast.unparse(statement.guard)}`."] if statement.guard is not None else []
        facts += [f"- Assumes `{word}`: {ASSUMPTIONS[word]}." for word in statement.assumes]
    facts += [f"- `{name}`: {doc}" for name, doc in handlers(statement.text)]
    return "\n\n".join([*parts, "\n".join([*facts, f"- `anneal/rules/{statement.file}`, line {statement.line}"])])


def handlers(text: str) -> Iterator[tuple[str, str]]:
    """The functions that a rule calls, each with what it says of itself."""
    for name in dict.fromkeys(re.findall(r"(\w+)\(", text)):
        if name in _HANDLERS:
            yield name, " ".join((inspect.getdoc(getattr(import_module(f"anneal.rules.{_HANDLERS[name]}"), name)) or "").split())


# Operations and stages


def ops() -> str:
    """The page of all operations."""
    parts = [
        "# Operations",
        _OPS,
    ]
    for category, title in CATEGORIES.items():
        members = [op for op in ALL_OPS if op.category == category]
        parts += [f"## {title}", table(("operation", "operands", "what it means", "gradient"), [op_row(op) for op in members])]
    return "\n\n".join(parts)


def op_row(op: Op) -> tuple[str, str, str, str]:
    """An operation in a table."""
    name = f"`{op.name}`" + (f" `{op.symbol}`" if op.symbol else "")
    gradient = rules.GRADIENT_NAMES.get(op)
    return name, "any" if op.arity < 0 else str(op.arity), op.doc, f"[rule](rules/gradient.md#{gradient})" if gradient else ""


def stages() -> str:
    """The page of the pipeline."""
    return "\n\n".join(
        [
            "# Stages",
            _STAGES,
            table(("stage", "what holds after it"), [(f"`{stage.name}`", stage.ensures) for stage in STAGES]),
        ]
    )


# Commands


def commands() -> str:
    """The page of the command line."""
    parts = [
        "# Commands",
        _COMMANDS,
        table(("command", "what it does"), [(f"[`anneal {verb}`](#{verb})", f"{doc[0].upper()}{doc[1:]}") for verb, doc in VERBS.items()]),
    ]
    return "\n\n".join([*parts, *(command(verb) for verb in VERBS)])


def command(verb: str) -> str:
    """One verb: what it does, how it is called, its options and an example."""
    parser = parser_of(verb)
    parser.formatter_class = partial(argparse.HelpFormatter, width=_WIDTH)
    example = import_module(f"anneal.cli.{verb}").EXAMPLE
    usage = _COLOUR.sub("", parser.format_usage()).removeprefix("usage: ").strip()
    rows = [(option(action), (action.help or "").replace("%%", "%")) for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    head = [f"## anneal {verb} {{ #{verb} }}", parser.description or "", fence("text", usage)]
    return "\n\n".join([*head, table(("option", "meaning"), rows), "For example:", fence("sh", example)])


def option(action: argparse.Action) -> str:
    """How an option or argument is written."""
    value = action.metavar or ("|".join(map(str, action.choices)) if action.choices else action.dest.upper())
    written = value if isinstance(value, str) else " ".join(value)
    if not action.option_strings:
        return f"`{written}`"
    return ", ".join(f"`{name}{f' {written}' if action.nargs != 0 else ''}`" for name in action.option_strings)


# JSON documents


def documents() -> str:
    """The page of the documents' forms."""
    modules = [import_module(f"{schema.__name__}.{found.name}") for found in pkgutil.iter_modules(schema.__path__)]
    about = inspect.cleandoc(schema.__doc__ or "").split("\n\n", 1)[1]
    parts = ["# JSON documents", "What a verb prints with `--json`. " + " ".join(about.split())]
    return "\n\n".join([*parts, *(document(module) for module in modules if forms(module))])


def forms(module: ModuleType) -> list[type]:
    """The TypedDicts that a module defines."""
    return [found for found in vars(module).values() if inspect.isclass(found) and found.__module__ == module.__name__ and hasattr(found, "__required_keys__")]


def document(module: ModuleType) -> str:
    """One document: what prints it, and each of its parts."""
    parts = [f"## {module.__name__.split('.')[-1]}", " ".join((module.__doc__ or "").split())]
    for form in reversed(forms(module)):
        notes = field_notes(form)
        rows = [(f"`{key}`", type_text(kind), notes.get(key, "")) for key, kind in get_type_hints(form, include_extras=True).items()]
        parts += [f"### {form.__name__} {{ #{module.__name__.split('.')[-1]}-{form.__name__} }}", form.__doc__ or "", table(("key", "value", "meaning"), rows)]
    return "\n\n".join(parts)


def field_notes(form: type) -> dict[str, str]:
    """The text below each key of a TypedDict."""
    body = ast.parse(inspect.getsource(form)).body[0]
    assert isinstance(body, ast.ClassDef)
    notes = {}
    for field, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            notes[ast.unparse(field.target)] = " ".join(str(following.value.value).split())
    return notes


def type_text(kind: object, plural: str = "") -> str:
    """A type in words for a reader of JSON; with `plural` "s", of several values."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Literal:
        return " or ".join(f'"{value}"' for value in inner)
    if origin in (types.UnionType, Union):
        return " or ".join(type_text(k, plural) for k in inner)
    if origin is NotRequired:
        return f"{type_text(inner[0], plural)}, or absent"
    if origin is list:
        return f"list{plural} of {type_text(inner[0], 's')}"
    if origin is dict:
        return f"object{plural} with {type_text(inner[1], 's')}"
    if kind is Any:
        return "anything"
    return _JSON[kind] + plural if kind in _JSON else getattr(kind, "__name__", str(kind))


# Markdown


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [" | ".join(heads), " | ".join("---" for _ in heads), *(" | ".join(cell(text) for text in row) for row in rows)]
    return "\n".join(f"| {line} |" for line in lines)


def cell(text: str) -> str:
    """Text that may stand in a table."""
    return " ".join(text.split()).replace("|", "\\|")


def fence(language: str, text: str) -> str:
    """A block of code."""
    return f"```{language}\n{text}\n```"
