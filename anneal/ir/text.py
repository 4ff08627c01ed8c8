"""Graphs and programs as text, and back: one line a node, exactly.

Parsing what was printed gives the very same interned nodes, and hostile text gives only a ParseError. The text of a graph ends with its
roots; that of a program lists its instructions in order, and what is no instruction, such as a constant, on lines that start with `let`.

>>> from anneal.ir.build import param, reduce_axis
>>> from anneal.ir.dtype import dtypes
>>> x = param(0, (2, 3), dtypes.float32)
>>> text = print_graph(reduce_axis(Ops.ADD, x, (1,)))
>>> print(text)
%0 = param:float32 [(0, (2, 3))]
%1 = reduce_axis:float32 %0 [(add, (1,))]
return %1
>>> parse_graph(text)[0].src[0] is x
True
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, NoReturn

from anneal.errors import DTypeError, ParseError
from anneal.ir.dtype import DType, by_name
from anneal.ir.ops import Op, Ops, op_by_name
from anneal.ir.uop import ARENA, UOp

_OPENS: Final = frozenset({Ops.LOOP, Ops.IF})
_CLOSES: Final = frozenset({Ops.ENDLOOP, Ops.ENDIF})
_MAX_NESTING: Final = 32
_MAX_LABEL: Final = 10


def print_graph(*roots: UOp) -> str:
    """Return the nodes below the roots, operands first, and a last line that names the roots."""
    printer = _Printer()
    for root in roots:
        printer.need(root, "")
    printer.lines.append(("return " + ", ".join(f"%{printer.numbers[r]}" for r in roots)).rstrip())
    return "\n".join(printer.lines)


def print_program(instructions: Sequence[UOp]) -> str:
    """Return the instructions in order, indented by loop, with values that are no instruction before their first use."""
    printer, listed = _Printer(), set(instructions)
    for leaf in dict.fromkeys(s for u in instructions for s in u.src if not s.src and s not in listed):
        printer.need(leaf, "let ")
    depth = 0
    for instruction in instructions:
        depth -= instruction.op in _CLOSES
        indent = "  " * max(depth, 0)
        for operand in _operands(instruction):
            printer.need(operand, indent + "let ")
        printer.add(instruction, indent)
        depth += instruction.op in _OPENS
    return "\n".join(printer.lines)


def _operands(node: UOp) -> tuple[UOp, ...]:
    """The nodes that must be listed before `node`: its operands, and those inside its arg."""
    return (*_inside(node.arg), *node.src)


def _inside(arg: Any) -> Iterator[UOp]:
    if isinstance(arg, UOp):
        yield arg
    elif isinstance(arg, tuple):
        for item in arg:
            yield from _inside(item)


class _Printer:
    """Lines so far, and the number of the latest line that holds each node."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.numbers: dict[UOp, int] = {}
        self.count = 0

    def need(self, root: UOp, prefix: str) -> None:
        """List `root` and what is below, as far as it is not listed yet."""
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self.numbers:
                stack.pop()
            elif missing := [s for s in _operands(node) if s not in self.numbers]:
                stack.extend(reversed(missing))
            else:
                self.add(stack.pop(), prefix)

    def add(self, node: UOp, prefix: str) -> None:
        """Append the line of one node, whose operands are listed."""
        operands = "".join((", " if i else " ") + f"%{self.numbers[s]}" for i, s in enumerate(node.src))
        arg = "" if node.arg is None else f" [{self._show(node.arg)}]"
        self.lines.append(f"{prefix}%{self.count} = {node.op.name}:{node.dtype.name}{operands}{arg}")
        self.numbers[node] = self.count
        self.count += 1

    def _show(self, arg: Any) -> str:
        match arg:
            case UOp():
                return f"%{self.numbers[arg]}"
            case tuple():
                return "(" + ", ".join(map(self._show, arg)) + ("," if len(arg) == 1 else "") + ")"
            case str():
                return json.dumps(arg)
            case Op():
                return arg.name
            case None | bool() | int() | float():
                return repr(arg)
            case _:
                raise TypeError(f"a node's arg cannot hold {type(arg).__name__}")


def parse_graph(text: str) -> list[UOp]:
    """Return the roots of a graph; raise ParseError with the line number when `text` is no graph."""
    nodes: dict[int, UOp] = {}
    roots: list[UOp] | None = None
    line = None
    for line in _lines(text):
        if roots is not None:
            line.fail("nothing after the line of roots")
        if line.take("return"):
            roots = line.references(nodes) if line.peek else []
            line.end()
        else:
            _parse_node(line, nodes)
    if roots is None:
        raise ParseError(f"line {line.number + 1 if line else 1}: expected a last line such as 'return %0', found the end of the text")
    return roots


def parse_program(text: str) -> list[UOp]:
    """Return the instructions of a program in order; raise ParseError with the line number when `text` is no program."""
    nodes: dict[int, UOp] = {}
    instructions = []
    for line in _lines(text):
        is_value = line.take("let")
        node = _parse_node(line, nodes)
        if not is_value:
            instructions.append(node)
    return instructions


def _lines(text: str) -> Iterator[_Line]:
    """The lines that hold something; a line that starts with # is a comment."""
    for number, line in enumerate(text.split("\n"), 1):
        if (content := line.strip()) and not content.startswith("#"):
            yield _Line(number, content)


def _parse_node(line: _Line, nodes: dict[int, UOp]) -> UOp:
    """The node of one line, numbered in `nodes`."""
    number = line.label()
    if number in nodes:
        line.fail(f"a new number, as %{number} is defined above")
    line.expect("=")
    op = line.operation()
    line.expect(":")
    dtype = line.dtype()
    src = tuple(line.references(nodes)) if line.peek.startswith("%") else ()
    if op.arity >= 0 and len(src) != op.arity:
        line.fail(f"{op.arity} operands of {op.name}, not {len(src)}")
    arg = None
    if line.take("["):
        arg = line.value(nodes)
        line.expect("]")
    line.end()
    node = nodes[number] = ARENA.intern(op, dtype, src, arg)
    return node


_TOKEN: Final = re.compile(r'\s*(%[0-9]+|-?(?:[0-9]+\.[0-9]+|[0-9]+)(?:e[-+]?[0-9]+)?|-?(?:inf|nan)\b|[A-Za-z_][A-Za-z0-9_]*|"(?:[^"\\]|\\.)*"|\S)')
_WORDS: Final[dict[str, Any]] = {"None": None, "True": True, "False": False, "inf": math.inf, "-inf": -math.inf, "nan": math.nan}
_FLOAT: Final = re.compile(r"-?[0-9]+(\.[0-9]+(e[-+]?[0-9]+)?|e[-+]?[0-9]+)")
_INT: Final = re.compile(r"-?[0-9]{1,4000}")


class _Line:
    """The tokens of one line, read from the left."""

    def __init__(self, number: int, content: str) -> None:
        self.number = number
        self._tokens = _TOKEN.findall(content)
        self._at = 0

    @property
    def peek(self) -> str:
        """The next token; empty at the end of the line."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def fail(self, expected: str) -> NoReturn:
        """Raise an error about the next token."""
        found = repr(self.peek[:40]) if self.peek else "the end of the line"
        raise ParseError(f"line {self.number}: expected {expected}, found {found}")

    def take(self, token: str) -> bool:
        """Read `token` when it is next."""
        if self.peek != token:
            return False
        self._at += 1
        return True

    def expect(self, token: str) -> None:
        """Read `token`, or fail."""
        if not self.take(token):
            self.fail(repr(token))

    def end(self) -> None:
        """Fail unless the line is read."""
        if self.peek:
            self.fail("the end of the line")

    def label(self) -> int:
        """Read the number of a node."""
        if not self.peek.startswith("%") or not 1 < len(self.peek) <= _MAX_LABEL:
            self.fail("a number such as %1")
        self._at += 1
        return int(self._tokens[self._at - 1][1:])

    def reference(self, nodes: dict[int, UOp]) -> UOp:
        """Read the number of a node defined above."""
        shown = self.peek
        if (node := nodes.get(self.label())) is None:
            self._at -= 1
            self.fail(f"a number defined above; {shown} is not")
        return node

    def references(self, nodes: dict[int, UOp]) -> list[UOp]:
        """Read numbers of nodes, separated by commas."""
        found = [self.reference(nodes)]
        while self.take(","):
            found.append(self.reference(nodes))
        return found

    def operation(self) -> Op:
        """Read the name of an operation."""
        try:
            op = op_by_name(self.peek)
        except KeyError:
            self.fail("an operation such as add")
        self._at += 1
        return op

    def dtype(self) -> DType:
        """Read the name of a dtype."""
        try:
            dtype = by_name(self.peek)
        except DTypeError:
            self.fail("a dtype such as float32")
        self._at += 1
        return dtype

    def value(self, nodes: dict[int, UOp], depth: int = 0) -> Any:
        """Read an arg: a constant, a name, a node, or nested tuples of these."""
        if not self.take("("):
            return self._atom(nodes)
        if depth == _MAX_NESTING:
            self.fail(f"at most {_MAX_NESTING} nested tuples")
        items = []
        while not self.take(")"):
            items.append(self.value(nodes, depth + 1))
            if self.peek != ")" or len(items) == 1:
                self.expect(",")
        return tuple(items)

    def _atom(self, nodes: dict[int, UOp]) -> Any:
        token = self.peek
        if token.startswith("%"):
            return self.reference(nodes)
        try:
            value = _atom_value(token)
        except (ValueError, KeyError):
            self.fail("a value: a number, None, True, False, a string in double quotes, the name of an operation, a node or a tuple")
        self._at += 1
        return value


def _atom_value(token: str) -> Any:
    """The value of a token; KeyError or ValueError when it has none."""
    if token in _WORDS:
        return _WORDS[token]
    if token.startswith('"'):
        return json.loads(token)
    if _INT.fullmatch(token):
        return int(token)
    if _FLOAT.fullmatch(token):
        return float(token)
    return op_by_name(token)
