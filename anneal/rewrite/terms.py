"""Terms: one side of a rule as data, read from a Python expression.

A term is a leaf (name, number, wildcard), a branch (an op on terms) or, in results, the call of a handler. The sugar of the language ends
here: terms know `mul`, not the minus sign.

>>> import ast
>>> Reader(lambda message, node: RuleError(message), frozenset()).pattern(ast.parse("-x", mode="eval").body).label
'mul'
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final

from anneal.errors import RuleError, meant
from anneal.ir.dtype import ALL, Scalar
from anneal.ir.ops import ALL_OPS, Op, Ops

KINDS: Final = ("index", "bool", "int", "float")
DTYPES: Final = {**{d.name: d.name for d in ALL}, "f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64", "i32": "int32", "u32": "uint32"}
ASSUMPTIONS: Final = {
    "no_signed_zero": "0.0 and -0.0 need not be told apart, as WGSL allows",
    "reassociation": "a float sum or product may be taken in another order",
}
NUMBERS: Final = {"LN2": math.log(2), "LOG2E": 1 / math.log(2), "PI": math.pi, "INF": math.inf}
CLASSES: Final[dict[str, tuple[Op, ...]]] = {
    "elementwise": tuple(o for o in ALL_OPS if o.elementwise),
    "unary": tuple(o for o in ALL_OPS if o.category == "unary"),
    "binary": tuple(o for o in ALL_OPS if o.category == "binary"),
    "commutative": tuple(o for o in ALL_OPS if o.commutative),
    "narrowing": (Ops.IDIV, Ops.MOD, Ops.MAX, Ops.MIN, Ops.LT, Ops.EQ, Ops.AND, Ops.OR, Ops.SHR),  # may have one value where their operands have several
    "movement": tuple(o for o in ALL_OPS if o.category == "movement"),
}
OPS: Final = {o.name: o for o in ALL_OPS}
_BINARY: Final[dict[type[ast.operator], Op]] = {
    ast.Add: Ops.ADD, ast.Mult: Ops.MUL, ast.Div: Ops.DIV, ast.FloorDiv: Ops.IDIV, ast.Mod: Ops.MOD,
    ast.BitAnd: Ops.AND, ast.BitOr: Ops.OR, ast.BitXor: Ops.XOR, ast.LShift: Ops.SHL, ast.RShift: Ops.SHR,
}  # fmt: skip
_NO_ARG: Final = frozenset({Ops.CONTIGUOUS, Ops.DETACH})
GUARDS: Final = {
    "is_int": '{0}.dtype.kind in ("int", "uint", "index")',
    "is_float": '{0}.dtype.kind == "float"',
    "is_index": "{0}.dtype is dtypes.index",
    "is_bool": "{0}.dtype is dtypes.bool",
    "lo": "",
    "hi": "",
}
ARITHMETIC: Final = frozenset({"abs", "min", "max"})
_GUARD_SYNTAX: Final = (
    ast.BoolOp, ast.boolop, ast.UnaryOp, ast.unaryop, ast.BinOp, ast.operator, ast.Compare, ast.cmpop, ast.Call, ast.Constant, ast.Name, ast.expr_context,
)  # fmt: skip
_CONST_NAME: Final = re.compile(r"c\d*$")


@dataclass(frozen=True, slots=True)
class Leaf:
    """A name, a number or a wildcard; of a pattern or of a result."""

    name: str | None = None
    value: Scalar | None = None
    dtype: str | None = None

    @property
    def is_const(self) -> bool:
        """True when only a constant can stand here."""
        return self.value is not None or (self.name is not None and bool(_CONST_NAME.match(self.name)))


@dataclass(frozen=True, slots=True)
class Branch:
    """An op on operands; several ops for a class of ops."""

    ops: tuple[Op, ...]
    args: tuple[Term, ...]
    dtype: str | None = None
    name: str | None = None
    rest: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class Handler:
    """A call of a named Python function; only in results."""

    function: str
    args: tuple[Term, ...]


Term = Leaf | Branch | Handler
MakeError = Callable[[str, ast.AST], RuleError]


class Reader:
    """Reads the expressions of one statement; it knows what the pattern has bound so far."""

    def __init__(self, error: MakeError, handlers: frozenset[str], bound: Collection[str] = ()) -> None:
        self.error = error
        self.handlers = handlers
        self.bound = set(bound)

    # Patterns.

    def pattern(self, node: ast.expr, top: bool = True) -> Term:
        """A pattern; its names become bound."""
        match node:
            case ast.BinOp(left=left, op=ast.MatMult(), right=ast.Name(id=word)):
                return with_dtype(self.pattern(left, top), self._dtype(word, node))
            case ast.NamedExpr(target=ast.Name(id=name), value=value):
                part = self.pattern(value, top)
                if not isinstance(part, Branch):
                    raise self.error(f"{name} := names a part that has an op: write {name} alone", node)
                self._bind(name, node)
                return replace(part, name=name)
            case ast.Name(id="_"):
                return Leaf()
            case ast.Name(id=name):
                self._bind(name, node)
                return Leaf(name)
            case ast.Call(func=ast.Name(id=word), args=args, keywords=[]):
                return self._call(word, args, node, top)
            case ast.BinOp(op=ast.Sub(), right=ast.Constant() as right):
                return self._operator(node, lambda n: self.pattern(n, top=False), -self._number(right))
        if (number := _number_of(node)) is not None:
            return Leaf(value=number)
        return self._operator(node, lambda n: self.pattern(n, top=False))

    def _bind(self, name: str, node: ast.AST) -> None:
        if name in ("root", "when", "assumes") or name in OPS or name in NUMBERS:
            raise self.error(f"{name} has a meaning of its own: choose another name", node)
        self.bound.add(name)

    def _call(self, word: str, args: list[ast.expr], node: ast.AST, top: bool) -> Branch:
        rest = bool(args) and isinstance(args[-1], ast.Constant) and args[-1].value is Ellipsis
        args = args[:-1] if rest else args
        ops = (OPS[word],) if word in OPS else CLASSES.get(word)
        if ops is None:
            raise self.error(f"unknown op {word!r} in a pattern{near(word, [*OPS, *CLASSES])}", node)
        if word in CLASSES and not top:
            raise self.error(f"{word} stands for several ops, and may only be the outermost call", node)
        arity = ops[0].arity
        if any(len(args) > op.arity >= 0 or (len(args) < op.arity and not rest) or (op.arity < 0 and not rest) for op in ops):
            takes = f"{arity} operands" if arity >= 0 else "any number of operands"
            raise self.error(f"{word} takes {takes}, not {len(args)}{'' if rest else ': write ... for further ones'}", node)
        return Branch(ops, tuple(self.pattern(a, top=False) for a in args), rest=rest, label=word)

    def _dtype(self, word: str, node: ast.AST) -> str:
        found = word if word in KINDS else DTYPES.get(word)
        if found is None:
            raise self.error(f"unknown dtype {word!r}: there are {', '.join([*KINDS, *DTYPES])}", node)
        return found

    def _number(self, node: ast.expr) -> Scalar:
        value = _number_of(node)
        if value is None:
            raise self.error(f"expected a number, not {ast.unparse(node)}", node)
        return value

    # Results.

    def result(self, node: ast.expr) -> Term:
        """A result; it may name only what is bound, and may call handlers."""
        match node:
            case ast.BinOp(left=left, op=ast.MatMult(), right=ast.Name(id=word)):
                part = self.result(left)
                if isinstance(part, Handler) or (isinstance(part, Leaf) and part.name):
                    raise self.error(f"a dtype can be given to a number or an op, not to {ast.unparse(left)}", node)
                if word not in self.bound and word not in DTYPES:
                    raise self.error(f"unknown dtype {word!r} to build: there are {', '.join(DTYPES)}, and the names of the pattern", node)
                return with_dtype(part, word if word in self.bound else DTYPES[word])
            case ast.Name(id=name):
                if name in NUMBERS:
                    return Leaf(value=NUMBERS[name])
                if name != "root" and name not in self.bound:
                    raise self.error(f"{name} is not bound by the pattern: it has {', '.join(sorted(self.bound)) or 'no names'}", node)
                return Leaf(name)
            case ast.Call(func=ast.Name(id=word), args=args, keywords=[]):
                terms = tuple(self.result(a) for a in args)
                if word not in OPS:
                    if word not in self.handlers:
                        raise self.error(f"unknown op or handler {word!r}{near(word, [*OPS, *sorted(self.handlers)])}", node)
                    return Handler(word, terms)
                return self._built(word, terms, node)
        if (value := _number_of(node)) is not None:
            return Leaf(value=value)
        return self._operator(node, self.result)

    def _built(self, word: str, args: tuple[Term, ...], node: ast.AST) -> Branch:
        op = OPS[word]
        if not (op.elementwise or op in _NO_ARG):
            raise self.error(f"{word} needs more than operands: build it in a handler", node)
        if len(args) != op.arity:
            raise self.error(f"{word} takes {op.arity} operands, not {len(args)}", node)
        return Branch((op,), args, label=word)

    # Both.

    def _operator(self, node: ast.expr, read: Callable[[ast.expr], Term], negated: Scalar | None = None) -> Term:
        """An expression with operators, its sugar undone."""
        match node:
            case ast.BinOp(left=left, op=ast.Sub(), right=right):
                return _op(Ops.ADD, read(left), Leaf(value=negated) if negated is not None else _op(Ops.MUL, read(right), Leaf(value=-1)))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return _op(_BINARY[type(op)], read(left), read(right))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _op(Ops.MUL, read(operand), Leaf(value=-1))
            case ast.UnaryOp(op=ast.Invert(), operand=operand):
                return _op(Ops.XOR, read(operand), Leaf(value=True))
            case ast.Compare(left=left, ops=[ast.Lt()], comparators=[right]):
                return _op(Ops.LT, read(left), read(right))
            case ast.Compare(left=left, ops=[ast.Gt()], comparators=[right]):
                return _op(Ops.LT, *reversed((read(left), read(right))))
            case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
                return _op(Ops.EQ, read(left), read(right))
            case ast.Compare(left=left, ops=[ast.NotEq()], comparators=[right]):
                return _op(Ops.XOR, _op(Ops.EQ, read(left), read(right)), Leaf(value=True))
        raise self.error(f"{ast.unparse(node)!r} has no meaning in a rule: use + - * / // % & | ^ ~ << >> < > == != and calls", node)

    def check_guard(self, guard: ast.expr) -> None:
        """Raise where a guard uses what it cannot: names that are not bound, functions that are not known, other syntax."""
        functions = {n.func for n in ast.walk(guard) if isinstance(n, ast.Call)}
        for node in ast.walk(guard):
            if not isinstance(node, _GUARD_SYNTAX):
                raise self.error(f"{ast.unparse(node) or type(node).__name__!r} cannot stand in a guard", node)
            if isinstance(node, ast.Call):
                self._check_guard_call(node)
            if isinstance(node, ast.Name) and node not in functions and node.id != "root" and node.id not in self.bound:
                raise self.error(f"{node.id} is not bound by the pattern: it has {', '.join(sorted(self.bound)) or 'no names'}", node)

    def _check_guard_call(self, node: ast.Call) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ast.unparse(node.func)
        if name not in GUARDS and name not in ARITHMETIC and name not in self.handlers:
            raise self.error(f"unknown function {name!r} in a guard{near(name, [*GUARDS, *sorted(self.handlers)])}", node)
        if name in GUARDS and (len(node.args) != 1 or not isinstance(node.args[0], ast.Name)):
            raise self.error(f"{name} takes one name", node)


def with_dtype(term: Term, dtype: str) -> Term:
    """The term with a dtype that it must have."""
    assert not isinstance(term, Handler), "the reader refuses dtypes on handlers"
    return replace(term, dtype=dtype)


def _op(op: Op, *args: Term) -> Branch:
    return Branch((op,), args, label=op.name)


def _number_of(node: ast.expr) -> Scalar | None:
    """The value of a number, maybe with a sign."""
    match node:
        case ast.Constant(value=bool() | int() | float() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)) if not isinstance(value, bool):
            return -value
    return None


def near(word: str, known: Collection[str]) -> str:
    """A hint of names that are close to `word`."""
    question = meant(word, known, 3)
    return f"; {question}" if question else ""
