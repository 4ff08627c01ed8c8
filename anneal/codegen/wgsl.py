"""A list of instructions as a WGSL module.

Pure text: nothing is decided here. Bindings are `data0, data1, ...`; a value that is used once is written where it is used, others get a
name. Integer division and modulo are spelled out as floor where a sign may be negative, and NaN is tested by bits, since WGSL compilers
may assume that there is none. `written` gives the same text line by line, each with the instructions that it says.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from anneal.analysis.bounds import lo
from anneal.codegen.helpers import CAREFUL, HELPERS, NEEDS
from anneal.codegen.program import Program
from anneal.codegen.types import FROM_BITS, ROUNDING, TO_BITS, literal, wgsl_type
from anneal.errors import CompileError
from anneal.ir.dtype import DType, Scalar, dtypes
from anneal.ir.graph import toposort
from anneal.ir.ops import Op, Ops
from anneal.ir.uop import UOp

_EXACT: Final = frozenset({Ops.WHERE, Ops.MAX, Ops.MIN, Ops.FLOOR, Ops.BITCAST})
"""What gives values of the dtype itself."""
_INFIX: Final[dict[Op, str]] = {Ops.ADD: "+", Ops.MUL: "*", Ops.DIV: "/", Ops.LT: "<", Ops.EQ: "==", Ops.AND: "&", Ops.OR: "|", Ops.XOR: "^"}
_CALL: Final[dict[Op, str]] = {Ops.SQRT: "sqrt", Ops.FLOOR: "floor"}
MODERATE: Final = 1e30
"""Divisors below this need no scaling."""
_LONG: Final = 90
"""Characters from which an expression gets a name of its own."""


class Line(NamedTuple):
    """A line of a module."""

    text: str
    uops: tuple[UOp, ...]
    """The instruction that wrote it, then those whose values are written in place in it, and the memory that these read or write."""


class _Writer:
    """Writes one module."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.lines: list[Line] = []
        self.said: tuple[UOp, ...] = ()
        self.inline: dict[UOp, tuple[UOp, ...]] = {}
        self.depth = 1
        self.text: dict[UOp, str] = {}
        self.helpers: dict[str, None] = {}
        self.locals: list[Line] = []
        self.memory: dict[int, tuple[UOp, bool]] = {}
        self.counter = 0
        self.special = False
        self.taken: set[str] = set()
        self.uses = program.uses()
        self.deciding = {c for u in program.instructions if u.op is Ops.WHERE and u.dtype.is_float for c in _deciding(u)}
        self.written = {u.src[0] for u in program.instructions if u.op in (Ops.STORE, Ops.VSTORE)}

    def type(self, dtype: DType) -> str:
        """The type of a value in WGSL."""
        return wgsl_type(dtype, half=self.program.half)

    def storage_type(self, dtype: DType) -> str:
        """The type of an element in a buffer."""
        return "u32" if dtype is dtypes.bool else self.type(dtype)

    def literal(self, value: Scalar, dtype: DType) -> str:
        """A constant."""
        return literal(value, dtype, half=self.program.half)

    def line(self, text: str) -> None:
        """A line of the function, indented."""
        self.lines.append(Line("  " * self.depth + text, self.said))

    def of(self, u: UOp) -> str:
        """An operand as text."""
        if u.op is Ops.CONST:
            if u.dtype.kind == "float" and not math.isfinite(u.arg):
                self.special = True
            return self.literal(u.arg, u.dtype)
        if u.op is Ops.PARAM:
            self.memory[u.arg[0]] = (u, self.memory.get(u.arg[0], (u, False))[1])
            return f"data{u.arg[0]}"
        return self.text[u]

    def helper(self, name: str, *arguments: str) -> str:
        """A call of a helper function, which the module then holds."""
        if name in NEEDS:
            self.helpers[NEEDS[name]] = None
        self.helpers[name] = None
        return f"{name}({', '.join(arguments)})"

    def name_of(self, u: UOp) -> str:
        """A name for a value, unique in the function."""
        wished = self.program.names.get(u)
        if wished is None or wished in self.taken:
            wished, self.counter = f"v{self.counter}", self.counter + 1
        self.taken.add(wished)
        return wished

    def value(self, u: UOp, text: str, uses: int, *, keep: bool = False) -> None:
        """Give a value its text: in place where it is used once and short, else under a name."""
        short = uses <= 1 or _negated(u) is not None
        if not keep and short and len(text) < _LONG and u not in self.program.names:
            self.text[u] = text
            return
        name = self.name_of(u)
        self.line(f"let {name} = {_bare(text)};")
        self.text[u] = name

    # One method a kind of instruction.

    def instruction(self, u: UOp, uses: int) -> None:
        """Write an instruction."""
        op = u.op
        if op.elementwise:
            self.value(u, self.elementwise(u), uses)
        elif op in (Ops.LOAD, Ops.VLOAD):
            stable = u.src[0].op is Ops.PARAM and u.src[0] not in self.written
            self.value(u, self.load(u), uses, keep=not stable or op is Ops.VLOAD)
        elif op is Ops.LANE:
            self.text[u] = self.from_storage(u.dtype, f"{self.of(u.src[0])}.{'xyzw'[u.arg]}")
        elif op in (Ops.STORE, Ops.VSTORE):
            self.store(u)
        elif op is Ops.SPECIAL:
            self.special_value(u)
        else:
            self.control(u)

    def control(self, u: UOp) -> None:
        """Registers, loops, conditions, barriers, workgroup memory and comments."""
        match u.op:
            case Ops.REGISTER:
                self.line(f"var {u.arg}: {self.type(u.dtype)} = {self.of(u.src[0])};")
                self.text[u] = u.arg
            case Ops.SET:
                self.line(f"{self.of(u.src[0])} = {_bare(self.of(u.src[1]))};")
            case Ops.LOOP:
                start, limit, step = map(self.of, u.src)
                self.line(f"for (var {u.arg} = {start}; {u.arg} < {limit}; {u.arg} += {step}) {{")
                self.text[u], self.depth = u.arg, self.depth + 1
            case Ops.IF:
                self.line(f"if ({_bare(self.of(u.src[0]))}) {{")
                self.depth += 1
            case Ops.ENDLOOP | Ops.ENDIF:
                self.depth -= 1
                self.line("}")
            case Ops.BARRIER:
                self.line("workgroupBarrier();")
            case Ops.COMMENT:
                self.line("// " + " ".join(u.arg.split()))
            case Ops.LOCAL:
                self.locals.append(Line(f"var<workgroup> {u.arg[0]}: array<{self.type(u.dtype)}, {u.arg[1]}>;", (u,)))
                self.text[u] = u.arg[0]
            case _:
                raise CompileError(f"{u.op.name} cannot be written as WGSL")

    def special_value(self, u: UOp) -> None:
        """Coordinates: the place in the workgroup under a name, the workgroup's own where it is used."""
        kind, axis = u.arg[0].split(".")
        if kind == "wid":
            self.value(u, f"i32(group.{axis})", 1)
            return
        self.text[u] = "lane" if self.program.workgroup_size[1] == 1 else f"lane_{axis}"
        self.line(f"let {self.text[u]} = i32(local.{axis});")

    def load(self, u: UOp) -> str:
        """An element, or four, of a buffer; a gated load reads element 0 where the gate fails."""
        memory, index = self.of(u.src[0]), self.of(u.src[1])
        if u.op is Ops.VLOAD:
            return f"{memory}[{_quarter(index)}]"
        if len(u.src) == 2:
            return self.from_storage(u.dtype, f"{memory}[{_bare(index)}]", u.src[0])
        gate = self.of(u.src[2])
        inner = self.from_storage(u.dtype, f"{memory}[select(0, {_bare(index)}, {_bare(gate)})]", u.src[0])
        return f"select({self.literal(u.dtype.round(0), u.dtype)}, {inner}, {_bare(gate)})"

    def from_storage(self, dtype: DType, text: str, memory: UOp | None = None) -> str:
        """An element of a buffer as a value: bool is stored as u32."""
        return f"({text} != 0u)" if dtype is dtypes.bool and (memory is None or memory.op is Ops.PARAM) else text

    def to_storage(self, u: UOp, memory: UOp) -> str:
        """A value as an element of a buffer."""
        text = _bare(self.of(u))
        return f"select(0u, 1u, {text})" if u.dtype is dtypes.bool and memory.op is Ops.PARAM else text

    def store(self, u: UOp) -> None:
        """Write an element, or four."""
        memory, index = self.of(u.src[0]), self.of(u.src[1])
        if u.src[0].op is Ops.PARAM:
            self.memory[u.src[0].arg[0]] = (u.src[0], True)
        if u.op is Ops.VSTORE:
            parts = ", ".join(self.to_storage(v, u.src[0]) for v in u.src[2:])
            self.line(f"{memory}[{_quarter(index)}] = vec4<{self.storage_type(u.src[2].dtype)}>({parts});")
        else:
            self.line(f"{memory}[{_bare(index)}] = {self.to_storage(u.src[2], u.src[0])};")

    # Arithmetic.

    def elementwise(self, u: UOp) -> str:
        """An elementwise operation, rounded where the dtype is kept in a wider type."""
        a = [self.of(s) for s in u.src]
        text = self.arithmetic(u, a)
        rounds = u.dtype in ROUNDING and u.op not in _EXACT and not (u.dtype is dtypes.float16 and self.program.half)
        return self.helper(ROUNDING[u.dtype], _bare(text)) if rounds else text

    def arithmetic(self, u: UOp, a: Sequence[str]) -> str:
        """An elementwise operation by kind."""
        op, kind = u.op, u.src[0].dtype
        if op in (Ops.IDIV, Ops.MOD):
            return self.division(u, a)
        if op in (Ops.MAX, Ops.MIN):
            return self.extreme(op, kind, a)
        if op is Ops.ADD:
            for one, other in ((1, 0), (0, 1)):
                if (negated := _negated(u.src[one])) is not None:
                    return f"({a[other]} - {self.of(negated)})"
        if kind is dtypes.bool and op in (Ops.ADD, Ops.MUL):
            return f"({a[0]} {'||' if op is Ops.ADD else '&&'} {a[1]})"
        if op is Ops.LT and kind is dtypes.bool:
            return f"(!{a[0]} && {a[1]})"
        if op is Ops.XOR and kind is dtypes.bool:
            return f"!{a[0]}" if u.src[1].op is Ops.CONST and u.src[1].arg else f"({a[0]} != {a[1]})"
        if kind.is_float and (careful := self.careful(u, a)):
            return careful
        if op in _INFIX:
            return f"({a[0]} {_INFIX[op]} {a[1]})"
        if op in _CALL:
            return f"{_CALL[op]}({_bare(a[0])})"
        match op:
            case Ops.SHL | Ops.SHR:
                return f"({a[0]} {op.symbol} (u32({_bare(a[1])}) & 31u))"
            case Ops.WHERE:
                return f"select({_bare(a[2])}, {_bare(a[1])}, {_bare(a[0])})"
            case Ops.CAST:
                return self.cast(u, a[0])
            case Ops.BITCAST:
                return self.bitcast(u.src[0].dtype, u.dtype, _bare(a[0]))
        raise CompileError(f"{op.name} cannot be written as WGSL")

    def careful(self, u: UOp, a: Sequence[str]) -> str:
        """Float arithmetic that needs a helper; empty where WGSL's own will do."""
        if u.op is Ops.EQ and u.src[0] is u.src[1]:
            return "!" + self.helper("is_nan", f"f32({_bare(a[0])})" if u.src[0].dtype is dtypes.float16 else _bare(a[0]))
        if u in self.deciding:
            wide = (f"f32({_bare(x)})" if u.src[0].dtype is dtypes.float16 else _bare(x) for x in a)
            return self.helper("less" if u.op is Ops.LT else "equal", *wide)
        if u.op in CAREFUL:
            return self.in_f32(CAREFUL[u.op], u.dtype, a[0])
        moderate = u.src[-1].op is Ops.CONST and abs(u.src[-1].arg) < MODERATE
        return self.helper("div_f32", *map(_bare, a)) if u.op is Ops.DIV and u.dtype is not dtypes.float16 and not moderate else ""

    def in_f32(self, name: str, dtype: DType, *arguments: str) -> str:
        """A helper on f32 values, with conversions where they are f16."""
        if self.type(dtype) != "f16":
            return self.helper(name, *map(_bare, arguments))
        return f"f16({self.helper(name, *(f'f32({_bare(x)})' for x in arguments))})"

    def division(self, u: UOp, a: Sequence[str]) -> str:
        """Floor division or modulo: plain where no operand can be negative or the divisor zero."""
        what = "div" if u.op is Ops.IDIV else "mod"
        symbol = "/" if u.op is Ops.IDIV else "%"
        low, divisor = lo(u.src[0]), lo(u.src[1])
        if low is not None and divisor is not None and low >= 0 and divisor > 0:
            return f"({a[0]} {symbol} {a[1]})"
        name = f"{what}_u32" if u.dtype.kind == "uint" else f"floor_{what}_i32"
        return self.helper(name, *map(_bare, a))

    def extreme(self, op: Op, kind: DType, a: Sequence[str]) -> str:
        """Maximum or minimum, NaN where an operand is."""
        name = "max" if op is Ops.MAX else "min"
        if kind is dtypes.bool:
            return f"({a[0]} {'||' if op is Ops.MAX else '&&'} {a[1]})"
        if not kind.is_float:
            return f"{name}({_bare(a[0])}, {_bare(a[1])})"
        return self.in_f32(f"{name}_f32", kind, *a)

    def cast(self, u: UOp, a: str) -> str:
        """A conversion: toward zero and clamped from float to integer."""
        source, goal = u.src[0].dtype, u.dtype
        if source is dtypes.float16 and goal.is_float and (rounded := u.src[0]).op is Ops.CAST and rounded.src[0].dtype is goal is dtypes.float32:
            return self.helper("round_f16", _bare(self.of(rounded.src[0])))
        if goal is dtypes.bool:
            return f"!({a} == {self.literal(source.round(0), source)})"  # true for NaN
        if source.is_float and goal.is_int:
            single = f"f32({_bare(a)})" if source is dtypes.float16 else _bare(a)
            whole = self.helper("to_u32" if goal.kind == "uint" else "to_i32", single)
            return whole if goal not in ROUNDING else f"clamp({whole}, {self.literal(goal.min, goal)}, {self.literal(goal.max, goal)})"
        if self.type(source) == self.type(goal):
            return a
        return f"{self.type(goal)}({_bare(a)})"

    def bitcast(self, source: DType, goal: DType, a: str) -> str:
        """The bits of a value as another dtype; those of 8 and 16 bits are the lower ones of a u32 on the way."""
        if source.bits == 32:
            return f"bitcast<{self.type(goal)}>({a})"
        half = self.program.half
        if source is dtypes.float16 and half:
            bits = f"bitcast<u32>(vec2<f16>({a}, f16(0.0)))"
        elif source.is_float:
            bits = self.helper(TO_BITS[source], a)
        else:
            bits = f"(u32({a}) & {(1 << source.bits) - 1:#x}u)" if source.kind == "int" else a
        if goal is dtypes.float16 and half:
            return f"bitcast<vec2<f16>>({_bare(bits)}).x"
        if goal.is_float:
            return self.helper(FROM_BITS[goal], _bare(bits))
        return self.helper(ROUNDING[goal], f"i32({_bare(bits)})") if goal.kind == "int" else bits

    def module(self) -> list[Line]:
        """The whole module."""
        for u, count in zip(self.program.instructions, self.uses, strict=True):
            self.said, before = (u, *(part for s in u.src for part in ((s,) if s.op is Ops.PARAM else self.inline.get(s, ())))), len(self.lines)
            self.instruction(u, count)
            self.inline[u] = self.said if len(self.lines) == before else ()
        half = ["enable f16;"] if self.program.half and any(u.dtype is dtypes.float16 for u in self.program.instructions) else []
        memory = []
        for number, (u, writes) in sorted(self.memory.items()):
            element = self.storage_type(u.dtype)
            element = f"vec4<{element}>" if u in self.program.vectors else element
            memory.append(Line(f"@group(0) @binding({number}) var<storage, {'read_write' if writes else 'read'}> data{number}: array<{element}>;", (u,)))
        rest = ["var<private> special_bits: u32 = 0u;"] if self.special else []
        rest += [line for name in HELPERS if name in self.helpers for line in HELPERS[name].split("\n")]
        size = ", ".join(map(str, self.program.workgroup_size))
        rest += ["", f"@compute @workgroup_size({size})", "fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {"]
        return [*_plain(half), *memory, *self.locals, *_plain(rest), *self.lines, *_plain("}")]


def _plain(texts: Iterable[str]) -> list[Line]:
    """Lines that no instruction asks for alone."""
    return [Line(text, ()) for text in texts]


def _negated(u: UOp) -> UOp | None:
    """x for x * -1."""
    return u.src[0] if u.op is Ops.MUL and u.src[1].op is Ops.CONST and u.src[1].arg == -1 and u.dtype.kind in ("float", "int", "index") else None


def _deciding(choice: UOp) -> list[UOp]:
    """The comparisons of a float by which a choice takes or leaves it: a maximum in disguise, whose NaN a compiler may lose."""
    found = toposort(choice.src[0], enter=lambda u: u.op in (Ops.AND, Ops.OR, Ops.XOR))
    compared = [u for u in found if u.op in (Ops.LT, Ops.EQ) and u.src[0].dtype.is_float]
    return compared if any(s in choice.src[1:] for u in compared for s in u.src) else []


def _bare(text: str) -> str:
    """Text without parentheses around all of it."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if not depth and place < len(text) - 1:
            return text
    return text[1:-1]


def _quarter(index: str) -> str:
    return str(int(index) // 4) if index.isdigit() else f"{index} / 4" if index.startswith("(") or index.isidentifier() else f"({index}) / 4"


def written(program: Program) -> list[Line]:
    """The WGSL module of a program, line by line."""
    return _Writer(program).module()


def joined(lines: Iterable[Line]) -> str:
    """Lines as a text."""
    return "".join(f"{line.text}\n" for line in lines)


def render(program: Program) -> str:
    """The WGSL module of a program."""
    return joined(written(program))
