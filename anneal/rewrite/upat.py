r"""The `.upat` language: text into rules as data.

A file holds statements; indented lines continue one, and the comment above a statement or behind it is its documentation.

    group NAME "title"
    name: pattern => result [when guard] [assumes word, word]
    grad op(a, b): expression, expression

Both sides are Python expressions. In a pattern a name captures an operand, a repeated name is the same node, names c, c1, c2 … match
constants only, `_` matches anything, `...` stands for further operands, a number matches that constant of any dtype, `x@f32` constrains
the dtype, `(m := pattern)` names a part. A call is an op, or at the top a class of ops such as `binary(x, y)`. `-x` is `x * -1`, `x - y`
is `x + y * -1`, `x != y` is `(x == y) ^ True` and `~x` is `x ^ True`. In a result `root` is the whole matched node, and a call that
names no op is a handler. In `grad`, `y` is the node and `g` the gradient of its result.

>>> [s.name for s in parse('group a "A"\nadd_zero: x + 0 => x', "a.upat", frozenset()).rules]
['add_zero']
>>> parse('group a "A"\n\nbad: x + 0 => y', "a.upat", frozenset())
Traceback (most recent call last):
anneal.errors.RuleError: a.upat:3: y is not bound by the pattern: it has x
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from anneal.errors import RuleError
from anneal.ir.ops import Op
from anneal.rewrite.terms import ASSUMPTIONS, OPS, Branch, Handler, Reader, Term, near

_RULE: Final = re.compile(r"(\w+)\s*:\s*(.*)", re.DOTALL)
_GROUP: Final = re.compile(r'group\s+(\w+)\s+"([^"]*)"\s*$')
_GRAD: Final = re.compile(r"grad\s+(\w+)\s*\(([^)]*)\)\s*:\s*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Statement:
    """One rule as data."""

    group: str
    name: str
    doc: str
    text: str
    file: str
    line: int
    pattern: Branch
    result: Term
    guard: ast.expr | None
    assumes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gradient:
    """One gradient rule as data: the gradient of each operand, None for no gradient."""

    group: str
    name: str
    doc: str
    text: str
    file: str
    line: int
    op: Op
    operands: tuple[str, ...]
    rest: bool
    results: tuple[Term | None, ...]


@dataclass(frozen=True, slots=True)
class File:
    """What one `.upat` file says, in its order."""

    groups: dict[str, str]
    rules: tuple[Statement, ...]
    gradients: tuple[Gradient, ...]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A statement's text, where it starts, and its comment."""

    file: str
    line: int
    text: str
    doc: str

    def error(self, message: str, node: ast.AST | None = None) -> RuleError:
        """The error for a mistake at the line of `node`, by default where the statement starts."""
        line = self.line + (getattr(node, "lineno", 1) - 1 if node is not None else 0)
        return RuleError(f"{self.file}:{line}: {message}")


def parse(text: str, file: str, handlers: frozenset[str]) -> File:
    """Return what the text says; `handlers` are the functions that a result or guard may call. RuleError tells file and line of a mistake."""
    groups: dict[str, str] = {}
    rules: list[Statement] = []
    gradients: list[Gradient] = []
    seen: dict[str, int] = {}
    for piece in _pieces(text, file):
        if piece.text.startswith("group"):
            if (found := _GROUP.match(piece.text)) is None:
                raise piece.error('write a group as: group name "title"')
            groups[found[1]] = found[2]
            continue
        if not groups:
            raise piece.error('the first statement must be: group name "title"')
        made = _gradient(piece, list(groups)[-1], handlers) if piece.text.startswith("grad ") else _statement(piece, list(groups)[-1], handlers)
        if made.name in seen:
            raise piece.error(f"rule {made.name} is already on line {seen[made.name]}: choose another name")
        seen[made.name] = piece.line
        rules.append(made) if isinstance(made, Statement) else gradients.append(made)
    return File(groups, tuple(rules), tuple(gradients))


def _pieces(text: str, file: str) -> Iterator[_Piece]:
    """The statements, continuation lines joined; their line breaks are kept, so that positions can be told."""
    above: list[str] = []
    held: list[str] = []
    docs: list[str] = []
    start = 0
    for number, raw in enumerate([*text.splitlines(), "end"], 1):
        code, _, comment = raw.partition("#") if '"' not in raw else (raw, "", "")
        code, comment = code.rstrip(), comment.strip()
        if held and code and not code[0].isspace():
            yield _Piece(file, start, "\n".join(held), " ".join(docs))
            held = []
        if not code:
            above = [*above, comment] if comment else []
        elif code[0].isspace():
            if not held:
                raise RuleError(f"{file}:{number}: an indented line continues a statement, and there is none above")
            held.append(code)
            docs += [comment] if comment else []
        else:
            held, docs, start, above = [code], [*above, *([comment] if comment else [])], number, []


def _statement(piece: _Piece, group: str, handlers: frozenset[str]) -> Statement:
    if (found := _RULE.match(piece.text)) is None:
        raise piece.error("write a rule as: name: pattern => result")
    name, body = found[1], found[2]
    sides = body.split("=>")
    if len(sides) != 2:
        raise piece.error(f"rule {name} needs one =>, it has {len(sides) - 1}")
    before = piece.text.index(body)
    result, words = _cut(sides[1], "assumes")
    result, when = _cut(result, "when")
    assumes = tuple(w.strip() for w in words.split(",")) if words else ()
    for word in assumes:
        if word not in ASSUMPTIONS:
            raise piece.error(f"unknown assumption {word!r}: there are {', '.join(ASSUMPTIONS)}")
    reader = Reader(piece.error, handlers)
    pattern = reader.pattern(_expression(piece, sides[0], before))
    if not isinstance(pattern, Branch):
        raise piece.error(f"rule {name}: a pattern starts with an op, not with a single name or number")
    at = before + len(sides[0]) + 2
    right = reader.result(_expression(piece, result, at))
    guard = _expression(piece, when, piece.text.index(when, at + len(result))) if when else None
    if guard is not None:
        reader.check_guard(guard)
    return Statement(group, name, piece.doc, _one_line(body), piece.file, piece.line, pattern, right, guard, assumes)


def _gradient(piece: _Piece, group: str, handlers: frozenset[str]) -> Gradient:
    if (found := _GRAD.match(piece.text)) is None:
        raise piece.error("write a gradient as: grad op(a, b): gradient of a, gradient of b")
    op = OPS.get(found[1])
    if op is None:
        raise piece.error(f"unknown op {found[1]!r}{near(found[1], OPS)}")
    names = [n.strip() for n in found[2].split(",") if n.strip()]
    rest, operands = "..." in names, tuple(n for n in names if n != "...")
    if (len(operands) > op.arity >= 0) or (len(operands) < op.arity and not rest):
        raise piece.error(f"{op.name} takes {op.arity} operands, not {len(operands)}")
    tree = _expression(piece, found[3], piece.text.index(found[3]))
    parts = tree.elts if isinstance(tree, ast.Tuple) else [tree]
    reader = Reader(piece.error, handlers, {"g", "y", *operands} - {"_"})
    results = tuple(None if isinstance(p, ast.Name) and p.id == "_" else reader.result(p) for p in parts)
    alone = len(results) == 1 and isinstance(results[0], Handler)
    if not alone and (len(results) != len(operands) or rest):
        raise piece.error(f"{op.name} has {len(operands)} operands and {len(results)} gradients: give one each, _ for none, or one handler for all")
    return Gradient(group, f"grad_{op.name}", piece.doc, _one_line(piece.text), piece.file, piece.line, op, operands, rest, results)


def _expression(piece: _Piece, text: str, start: int) -> ast.expr:
    """Parse a part of a statement; node lines count from the statement's first line."""
    lead = "\n" * piece.text.count("\n", 0, start)
    try:
        return ast.parse(f"{lead}({text}\n)", mode="eval").body
    except SyntaxError as error:
        line = piece.line + min((error.lineno or 1) - 1, piece.text.count("\n"))
        raise RuleError(f"{piece.file}:{line}: cannot read {_one_line(text)!r}: {error.msg}") from None


def _cut(text: str, word: str) -> tuple[str, str]:
    """The text before and after a word of the language."""
    found = re.search(rf"\s{word}\s", text)
    return (text[: found.start()], text[found.end() :]) if found else (text, "")


def _one_line(text: str) -> str:
    return " ".join(text.split())
