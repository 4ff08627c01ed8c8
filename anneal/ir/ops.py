"""Every operation, one row of facts each.

Passes look facts up here and keep behaviour to themselves; `tests/test_matrix.py` prints the op × pass matrix.

>>> Ops.ADD.commutative, Ops.ADD.symbol
(True, '+')
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Category = Literal["leaf", "unary", "binary", "ternary", "movement", "reduce", "tensor", "kernel", "program"]
Domain = Literal["any", "float", "int", "bits"]


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One operation; compare with `is`."""

    name: str
    """Name in text, rules and messages."""
    category: Category
    """Where it may stand: elementwise (unary, binary, ternary) ops mean the same at every stage."""
    arity: int
    """Number of operands; -1 when it varies."""
    doc: str
    """What it means, in one line."""
    symbol: str = ""
    """Infix symbol in rules and listings, when it has one."""
    commutative: bool = False
    compares: bool = False
    """True when the result is bool whatever the operands are."""
    domain: Domain = "any"
    """Operands that an elementwise op takes: any, floats, integers, or whatever has bits to combine: integers and bool."""

    def __repr__(self) -> str:
        return f"Ops.{self.name.upper()}"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return op_by_name, (self.name,)

    @property
    def elementwise(self) -> bool:
        """True for ops that compute each element from the same element of each operand."""
        return self.category in ("unary", "binary", "ternary")


class Ops:
    """All operations, by name."""

    # Leaves.
    CONST: Final = Op("const", "leaf", 0, "a number; arg is the value")
    BUFFER: Final = Op("buffer", "leaf", 0, "storage that a tensor owns; arg is (id, shape)")
    PARAM: Final = Op("param", "leaf", 0, "input number arg[0] of a program, of shape arg[1]: a buffer without its identity")
    VARIABLE: Final = Op("variable", "leaf", 0, "an integer known at run time; arg is (name, low, high), inclusive")
    IOTA: Final = Op("iota", "leaf", 0, "0, 1, 2, ...; arg is the length")
    RANGE: Final = Op("range", "kernel", 1, "a loop index from 0 up to its operand; arg is (name, kind)")

    # Elementwise.
    EXP2: Final = Op("exp2", "unary", 1, "2 to the power x", domain="float")
    LOG2: Final = Op("log2", "unary", 1, "logarithm of x to base 2", domain="float")
    SIN: Final = Op("sin", "unary", 1, "sine of x in radians", domain="float")
    SQRT: Final = Op("sqrt", "unary", 1, "square root", domain="float")
    FLOOR: Final = Op("floor", "unary", 1, "largest whole number not above x, as a float", domain="float")
    CAST: Final = Op("cast", "unary", 1, "convert the value to the node's dtype")
    BITCAST: Final = Op("bitcast", "unary", 1, "the same bits as the node's dtype")
    ADD: Final = Op("add", "binary", 2, "x + y; or for bool", "+", commutative=True)
    MUL: Final = Op("mul", "binary", 2, "x * y; and for bool", "*", commutative=True)
    DIV: Final = Op("div", "binary", 2, "x / y for floats", "/", domain="float")
    IDIV: Final = Op("idiv", "binary", 2, "floor(x / y) for integers; 0 where y is 0", "//", domain="int")
    MOD: Final = Op("mod", "binary", 2, "x - y*floor(x / y) for integers; 0 where y is 0", "%", domain="int")
    MAX: Final = Op("max", "binary", 2, "the larger; NaN when either is", commutative=True)
    MIN: Final = Op("min", "binary", 2, "the smaller; NaN when either is", commutative=True)
    LT: Final = Op("lt", "binary", 2, "x < y; False with NaN", "<", compares=True)
    EQ: Final = Op("eq", "binary", 2, "x == y; False with NaN", "==", commutative=True, compares=True)
    AND: Final = Op("and", "binary", 2, "bitwise and; logical and for bool", "&", commutative=True, domain="bits")
    OR: Final = Op("or", "binary", 2, "bitwise or; logical or for bool", "|", commutative=True, domain="bits")
    XOR: Final = Op("xor", "binary", 2, "bitwise exclusive or; x ^ True negates a bool", "^", commutative=True, domain="bits")
    SHL: Final = Op("shl", "binary", 2, "x shifted left by y modulo 32 bits", "<<", domain="int")
    SHR: Final = Op("shr", "binary", 2, "x shifted right by y modulo 32 bits, arithmetic for signed x", ">>", domain="int")
    WHERE: Final = Op("where", "ternary", 3, "x where the condition holds, else y")

    # Movement: each output element is one input element, or a fill.
    RESHAPE: Final = Op("reshape", "movement", 1, "the same elements in row-major order; arg is the shape")
    PERMUTE: Final = Op("permute", "movement", 1, "axis i of the result is axis arg[i]")
    EXPAND: Final = Op("expand", "movement", 1, "axes of size 1 repeated; arg is the shape")
    PAD: Final = Op("pad", "movement", 2, "add arg[i] = (before, after) elements of the constant operand to axis i")
    SHRINK: Final = Op("shrink", "movement", 1, "keep elements [start, end) = arg[i] of axis i")
    FLIP: Final = Op("flip", "movement", 1, "reverse the axes in arg")
    SHEAR: Final = Op("shear", "movement", 1, "out[o, k] = x[o*stride + k*dilation, k] for two axes, 0 outside; arg is (axis, along, stride, dilation, size)")
    UNSHEAR: Final = Op("unshear", "movement", 1, "the adjoint of shear: out[i, k] = x[(i - k*dilation)/stride, k] where that is whole and inside, else 0")

    # Tensor level.
    REDUCE_AXIS: Final = Op("reduce_axis", "reduce", 1, "combine along axes arg[1] with op arg[0]; the axes stay with size 1")
    GATHER: Final = Op("gather", "tensor", -1, "x[i0, i1, ...]: the leading axes of x indexed by integer tensors of one shape")
    CONTIGUOUS: Final = Op("contiguous", "tensor", 1, "the same values, in a buffer of their own")
    DETACH: Final = Op("detach", "tensor", 1, "the same values, with no gradient")
    ASSIGN: Final = Op("assign", "tensor", 2, "write the second operand into the buffer of the first, and be that buffer")
    SINK: Final = Op("sink", "tensor", -1, "the outputs of a program, or the stores of a kernel")

    # Kernel level: one expression graph a kernel.
    AT: Final = Op("at", "kernel", -1, "the tensor-level value arg[0] at arg[1] indices and perhaps a gate: a loaded index, until its kernel is built")
    LOAD: Final = Op("load", "kernel", -1, "element of a buffer at an index; 0 where the third operand, a bool, is False")
    STORE: Final = Op("store", "kernel", -1, "write a value at an index of a buffer; skipped where the fourth operand is False")
    REDUCE: Final = Op("reduce", "kernel", -1, "combine the first operand over the ranges that follow, with op arg")

    # Program level: a kernel as a list of instructions.
    SPECIAL: Final = Op("special", "program", 0, "a coordinate of this invocation; arg is wid.x, wid.y, wid.z, lid.x, lid.y or lid.z")
    LOCAL: Final = Op("local", "program", 0, "workgroup memory; arg is (name, elements)")
    REGISTER: Final = Op("register", "program", 1, "a variable that starts as its operand; arg is its name")
    SET: Final = Op("set", "program", 2, "write the second operand to a register")
    LOOP: Final = Op("loop", "program", 3, "for index from src[0] while below src[1] step src[2]; arg is its name; its value is the index")
    ENDLOOP: Final = Op("endloop", "program", 1, "end of a loop")
    IF: Final = Op("if", "program", 1, "begin what runs only where the condition holds")
    ENDIF: Final = Op("endif", "program", 1, "end of an if")
    BARRIER: Final = Op("barrier", "program", 0, "wait for the workgroup; its memory is then seen by all")
    VLOAD: Final = Op("vload", "program", 2, "arg consecutive elements of a buffer from an index that arg divides")
    LANE: Final = Op("lane", "program", 1, "element arg of a vload")
    VSTORE: Final = Op("vstore", "program", -1, "write operands 2 and on at consecutive elements from an index that their number divides")
    COMMENT: Final = Op("comment", "program", 0, "a line for the reader; arg is its text")


ALL_OPS: Final[tuple[Op, ...]] = tuple(v for v in vars(Ops).values() if isinstance(v, Op))
ORDER: Final = {op: i for i, op in enumerate(ALL_OPS)}
_NAMES: Final = {op.name: op for op in ALL_OPS}


def op_by_name(name: str) -> Op:
    """Return the op called `name`; raise KeyError when there is none."""
    return _NAMES[name]
