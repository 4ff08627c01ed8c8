"""Python expressions from the command line as graphs: parsed, checked against a short list of what may stand there, and never executed as code.

Free names become inputs. Where everything is arithmetic of whole numbers they are integers of a known range, the compiler's own index arithmetic;
elsewhere they are tensors of float32. `--let` says otherwise.

>>> read("(x*4+3)//4", []).names
{<variable:index () ('x', 0, 99)>: 'x'}
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from anneal.cli.explain_values import METHODS, SCALAR_CALLS, SYMBOLS, Scalars, Tensors, numbers
from anneal.cli.output import nearest
from anneal.errors import AnnealError, DTypeError, ShapeError, UsageError
from anneal.ir import build
from anneal.ir.dtype import ALL, DType, dtypes
from anneal.ir.ops import Ops, op_by_name
from anneal.ir.uop import ARENA, UOp
from anneal.rewrite.terms import near
from anneal.tensor.tensor import Tensor

RANGE: Final = (0, 99)
"""The integers that a free name is taken for."""
SHAPE: Final = (4, 4)
"""The shape of the float32 tensor that a free name is taken for."""
_LONGEST: Final = 2000
_SHOWN: Final = 60
_DTYPES: Final = {d.name: d for d in ALL if d.storage}
_LET: Final = re.compile(r"\s*([^\W\d]\w*)\s*=\s*(?:(-?\d+)\s*\.\.\s*(-?\d+)|(\w+)\s*(?:\(([\d\s,]*)\))?)\s*$")
_TENSOR_ONLY: Final = (ast.MatMult, ast.Pow, ast.Attribute, ast.Subscript, ast.Tuple, ast.List)
_WHOLE: Final = ("max", "min", "where")
_TAUGHT: Final = "it may have names, numbers, operators, comparisons, calls such as softmax(x) or x.sum(1), and subscripts"


@dataclass(frozen=True, slots=True)
class Expression:
    """What was read."""

    outputs: UOp | tuple[Tensor, ...]
    """A scalar, or tensors."""
    names: dict[UOp, str]
    """The inputs by node."""
    assumed: frozenset[str]
    """Names of which nobody said what they are."""


@dataclass(frozen=True, slots=True)
class Let:
    """What `--let` says of a name: a range of integers, or a dtype with a shape."""

    low: int = 0
    high: int = 0
    dtype: DType | None = None
    shape: tuple[int, ...] | None = None


def read(text: str, lets: Sequence[str], *, tensors: bool = False) -> Expression:
    """The expression as a graph, one of tensors in any case if asked; raises UsageError, pointing at the spot."""
    tree = _parsed(text)
    given = dict(map(_let, lets))
    names = list(dict.fromkeys(_free(tree)))
    if unknown := [n for n in given if n not in names]:
        raise UsageError(f"--let {unknown[0]}: {text!r} has no free name {unknown[0]!r}: {nearest(unknown[0], names)}")
    scalar = not tensors and _is_scalar(tree, given)
    shifts = any(isinstance(n, ast.LShift | ast.RShift) for n in ast.walk(tree))
    default = next((let.dtype for let in given.values() if let.dtype is not None), dtypes.int32 if shifts else dtypes.index)
    inputs = {name: _input(slot, name, given.get(name), default, scalar=scalar) for slot, name in enumerate(names)}
    env = {name: node if scalar else Tensor(node) for name, node in inputs.items()}
    value = _Evaluation(text, Scalars(default) if scalar else Tensors(), env).run(tree)
    called = {node: name for name, node in inputs.items()}
    assumed = frozenset(n for n in names if n not in given)
    if scalar:
        return Expression(Scalars(default).node(value), called, assumed)
    outputs = tuple(value) if isinstance(value, tuple | list) else (value,)
    if not outputs or not all(isinstance(t, Tensor) for t in outputs):
        raise UsageError(f"{text!r} is {value!r}: nothing that the compiler sees")
    return Expression(outputs, called, assumed)


def _parsed(text: str) -> ast.expr:
    if len(text) > _LONGEST:
        raise UsageError(f"an expression of {len(text)} characters: {_LONGEST} are enough to see what rules do")
    try:
        return ast.parse(text.strip(), mode="eval").body
    except SyntaxError as error:
        at = max(error.offset or 1, 1)
        raise UsageError(f"cannot read {text[:_SHOWN]!r} at column {at}, {text.strip()[at - 1 : at + 9]!r}: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"cannot read {text[:_SHOWN]!r}: {str(error) or 'nested too deeply'}") from None


def _receiver(func: ast.expr) -> list[ast.expr]:
    """What a method is called on; nothing where it is called by its full name, such as Tensor.arange(4)."""
    return [func.value] if isinstance(func, ast.Attribute) and not (isinstance(func.value, ast.Name) and func.value.id == "Tensor") else []


def _free(tree: ast.AST) -> Iterator[str]:
    """Names that are neither functions nor dtypes, from the left."""
    functions = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    found = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in functions and n.id not in (*_DTYPES, "dtypes", "Tensor")]
    yield from (n.id for n in sorted(found, key=lambda n: (n.lineno, n.col_offset)))


def _is_scalar(tree: ast.expr, given: dict[str, Let]) -> bool:
    """True where everything is arithmetic of scalars: as all inputs were said to be, or of whole numbers alone."""
    nodes = list(ast.walk(tree))
    calls = [n for n in nodes if isinstance(n, ast.Call)]
    of_tensors = any(isinstance(n, _TENSOR_ONLY) for n in nodes) or not all(map(_is_scalar_call, calls))
    if of_tensors or any(let.shape is not None for let in given.values()):
        return False
    if any(let.dtype is not None for let in given.values()):
        return True
    floats = any(isinstance(n, ast.Div) or (isinstance(n, ast.Constant) and isinstance(n.value, float)) for n in nodes)
    return not floats and all(ast.unparse(n.func) in _WHOLE for n in calls)


def _is_scalar_call(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in SCALAR_CALLS and len(node.args) == op_by_name(node.func.id).arity


def _let(text: str) -> tuple[str, Let]:
    """What one `--let` says."""
    found = _LET.match(text)
    form = "write --let x=0..99, --let x=float32 or --let 'x=float32(4, 8)'"
    if found is None:
        raise UsageError(f"cannot read --let {text!r}: {form}")
    name, low, high, dtype, dims = found.groups()
    if dtype is None:
        if int(low) > int(high):
            raise UsageError(f"--let {text}: the range is empty, as {low} is above {high}")
        return name, Let(int(low), int(high))
    if dtype not in _DTYPES:
        raise UsageError(f"--let {text}: no dtype {dtype!r}: {nearest(dtype, list(_DTYPES))}; {form}")
    shape = None if dims is None else tuple(int(n) for n in dims.replace(",", " ").split())
    return name, Let(dtype=_DTYPES[dtype], shape=shape)


def _input(slot: int, name: str, let: Let | None, default: DType, *, scalar: bool) -> UOp:
    """The node of a free name."""
    if not scalar:
        if let is not None and let.dtype is None:
            raise UsageError(f"--let {name}={let.low}..{let.high}: the expression is one of tensors: say --let '{name}=int32(4, 4)' or another dtype and shape")
        return build.param(slot, SHAPE if let is None else let.shape or (), dtypes.float32 if let is None or let.dtype is None else let.dtype)
    if default.is_int and (let is None or let.dtype is None):
        low, high = RANGE if let is None else (let.low, let.high)
        return ARENA.intern(Ops.VARIABLE, default, (), (name, low, high))
    return build.param(slot, (), default if let is None or let.dtype is None else let.dtype)


class _Evaluation:
    """The value of a tree, operands before operators; nothing recurses."""

    def __init__(self, text: str, algebra: Scalars | Tensors, env: dict[str, Any]) -> None:
        self.text = text
        self.algebra = algebra
        self.env = env
        self.values: dict[int, Any] = {}

    def run(self, tree: ast.expr) -> Any:
        """The value of the root."""
        stack: list[tuple[ast.AST, bool]] = [(tree, False)]
        while stack:
            node, ready = stack.pop()
            if ready:
                self.values[id(node)] = self._checked(node)
            else:
                stack.append((node, True))
                stack.extend((part, False) for part in reversed(self._parts(node)))
        return self.values[id(tree)]

    def _parts(self, node: ast.AST) -> list[ast.AST]:
        """What must be known before a node."""
        match node:
            case ast.Name(id=name) if name not in self.env and name not in _DTYPES:
                self._fail(node, f"{name} is no value: write {name}.{'arange(4)' if name == 'Tensor' else 'float32'} and the like")
            case ast.Constant() | ast.Name():
                return []
            case ast.BinOp(left=left, right=right):
                return [left, right]
            case ast.UnaryOp(op=ast.USub() | ast.Invert() | ast.UAdd(), operand=operand):
                return [operand]
            case ast.Compare(left=left, ops=[_], comparators=[right]) if type(node.ops[0]) in SYMBOLS:
                return [left, right]
            case ast.Compare() if len(node.ops) > 1:
                self._fail(node, "a chain of comparisons has no meaning for graphs: write (a < b) & (b < c)")
            case ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
                self._fail(node, "and, or and not have no meaning for graphs: write &, | and ~")
            case ast.Call(keywords=words) if any(w.arg is None for w in words):
                self._fail(node, "** has no meaning here: name each option")
            case ast.Call(func=ast.Name() as func, args=args, keywords=words):
                self._known(func, func.id)
                return [*args, *(w.value for w in words)]
            case ast.Call(func=ast.Attribute() as func, args=args, keywords=words):
                self._known(func, func.attr)
                return [*_receiver(func), *args, *(w.value for w in words)]
            case ast.Attribute(value=ast.Name(id="dtypes"), attr=name) if name in _DTYPES:
                return []
            case ast.Attribute(value=value, attr="T"):
                return [value]
            case ast.Attribute():
                self._fail(node, "the only attribute is .T; methods are called, such as x.relu()")
            case ast.Subscript(value=value, slice=part):
                return [value, part]
            case ast.Slice(lower=lower, upper=upper, step=step):
                return [p for p in (lower, upper, step) if p is not None]
            case ast.Tuple(elts=elements) | ast.List(elts=elements):
                return list(elements)
        return self._fail(node, f"this cannot stand in an expression: {_TAUGHT}")

    def _known(self, func: ast.expr, name: str) -> None:
        allowed = SCALAR_CALLS if isinstance(self.algebra, Scalars) else METHODS.keys()
        if name not in allowed:
            self._fail(func, f"no function {name!r} that computes tensors{near(name, sorted(allowed))}")

    def _checked(self, node: ast.AST) -> Any:
        try:
            return self._value(node)
        except UsageError as error:
            self._fail(node, str(error))
        except (ShapeError, DTypeError) as error:
            names = [] if isinstance(self.algebra, Scalars) else list(_free(node))
            kind = "int32(4, 4)" if isinstance(error, DTypeError) else "float32(1, 3, 8, 8)"
            self._fail(node, f"{error}; --let says what an input is, for example --let '{names[-1]}={kind}'" if names else str(error))
        except (AnnealError, ArithmeticError, TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
            self._fail(node, str(error) or type(error).__name__)

    def _value(self, node: ast.AST) -> Any:
        """A node whose parts are known."""
        at = self._known_value
        match node:
            case ast.Constant(value=value):
                if not isinstance(value, bool | int | float | str | type(None)) and value is not Ellipsis:
                    raise UsageError(f"{value!r} is no number")
                return value
            case ast.Name(id=name) | ast.Attribute(value=ast.Name(id="dtypes"), attr=name):
                return _DTYPES[name] if name in _DTYPES else self.env[name]
            case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
                return self._binary(SYMBOLS[type(op)], at(left), at(right))
            case ast.UnaryOp(op=op, operand=operand):
                return self._unary(op, at(operand))
            case ast.Call(func=func, args=args, keywords=words):
                name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
                return self.algebra.call(name, [*map(at, _receiver(func)), *map(at, args)], {str(w.arg): at(w.value) for w in words})
            case ast.Attribute(value=value):
                return at(value).T
            case ast.Subscript(value=value, slice=part):
                return at(value)[at(part)]
            case ast.Slice(lower=lower, upper=upper, step=step):
                return slice(*(None if p is None else at(p) for p in (lower, upper, step)))
            case ast.Tuple(elts=elements):
                return tuple(map(at, elements))
            case ast.List(elts=elements):
                return list(map(at, elements))
        raise UsageError(f"this cannot stand in an expression: {_TAUGHT}")

    def _known_value(self, node: ast.AST) -> Any:
        return self.values[id(node)]

    def _binary(self, sign: str, left: Any, right: Any) -> Any:
        if isinstance(left, UOp | Tensor) or isinstance(right, UOp | Tensor):
            return self.algebra.binary(sign, left, right)
        return numbers(sign, left, right)

    def _unary(self, op: ast.unaryop, value: Any) -> Any:
        if isinstance(op, ast.UAdd):
            return value
        if isinstance(value, UOp | Tensor):
            return self.algebra.unary("-" if isinstance(op, ast.USub) else "~", value)
        if isinstance(op, ast.Invert) and isinstance(value, bool):
            return not value
        return numbers("-", 0, value) if isinstance(op, ast.USub) else numbers("-", -1, value)

    def _fail(self, node: ast.AST, message: str) -> NoReturn:
        column = getattr(node, "col_offset", 0)
        spot = ast.unparse(node)
        spot = spot if len(spot) < min(len(self.text), _SHOWN) else ""
        where = f" at column {column + 1}, {spot!r}" if spot else ""
        whole = self.text if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]}…"
        raise UsageError(f"in {whole!r}{where}: {message}")
