"""A compiled program as plain data.

A plan holds kernels, buffers and dispatches, and nothing else: it goes to JSON and back, its fingerprint is the SHA-256 of its canonical
JSON without the measured statistics, and any device that fits its target runs it. Sizes are ints, or expressions in symbols as text.

>>> size("n*4 + 3", {"n": 2})
11
"""

from __future__ import annotations

import ast
import hashlib
import json
import operator
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from anneal.codegen.target import Target
from anneal.errors import ParseError, number_of
from anneal.ir.dtype import DType, by_name
from anneal.view.phases import ORDER

if TYPE_CHECKING:
    from anneal.runtime.explain import Explanation

VERSION: Final = 1
Size = int | str
Role = Literal["input", "output", "temporary"]
Scope = Literal["inline", "group", "global"]


@dataclass(frozen=True, slots=True)
class PlanBuffer:
    """One buffer that kernels bind."""

    role: Role
    """input: handed in by the caller; output: made for the caller; temporary: lives for one run, reused among values."""
    dtype: str
    """Element type; temporaries that hold several values in turn say that of the first."""
    shape: tuple[Size, ...]
    """Shape of the value; one axis for temporaries."""
    bytes: Size
    """Bytes to allocate: a multiple of 4, at least 4."""

    @property
    def element(self) -> DType:
        """The dtype as an object."""
        return by_name(self.dtype)


@dataclass(frozen=True, slots=True)
class Binding:
    """One storage buffer of a kernel; its position in the kernel is its binding number."""

    buffer: int
    """Position in the plan's buffers."""
    writes: bool
    """True when the kernel writes it."""
    updates: bool = False
    """True when it writes what it has read from there: a parameter that is changed in place."""
    op: str = ""
    """The op of the value in the buffer: `param` for an input as it is handed in, `reduce_add` for a sum; empty where it is not known."""
    dtype: str = ""
    """The value's element type."""
    shape: tuple[Size, ...] = ()
    """The value's shape."""


@dataclass(frozen=True, slots=True)
class Boundary:
    """Why a value is where it is."""

    value: str
    """The value, as op, dtype and shape."""
    scope: Scope
    """Computed where read; once a workgroup; or stored in a buffer."""
    reason: str
    """The rule that decided and the numbers it compared, in words."""
    binding: int | None = None
    """Where it is stored: which binding of the kernel; None for what is not stored."""


@dataclass(frozen=True, slots=True, repr=False)
class Kernel:
    """One kernel and its dispatch."""

    name: str
    """What it is, unique in the plan and a valid identifier."""
    wgsl: str
    """A whole WGSL module with entry point `main`."""
    program: str
    """The same kernel as instructions (`anneal.ir.text`), for the reference runtime."""
    bindings: tuple[Binding, ...]
    workgroups: tuple[Size, Size, Size]
    workgroup_size: tuple[int, int, int]
    phases: tuple[str, ...]
    """Which of forward, backward and update are computed in it."""
    ops: tuple[str, ...]
    """The tensor-level operations fused in it, in order of computation, as op and shape."""
    flops: Size
    bytes: Size
    """Bytes read, plus bytes written, each element once."""
    boundaries: tuple[Boundary, ...] = ()
    op_phases: tuple[str, ...] = ()
    """For each of `ops` its phase; empty where it is not known."""

    def __repr__(self) -> str:
        return f"<kernel {self.name}: {'+'.join(self.phases)}, {number_of(len(self.ops), 'operation')}>"


@dataclass(frozen=True, slots=True, repr=False)
class Plan:
    """A compiled program: run it with `anneal.execute`, or `get_device().execute` on storages of your own."""

    target: Target
    buffers: tuple[PlanBuffer, ...]
    """Inputs first, in slot order; then outputs; then temporaries."""
    kernels: tuple[Kernel, ...]
    """In the order to dispatch."""
    outputs: tuple[int, ...]
    """For each output of the program the buffer that holds it at the end; an input's position for an assign."""
    assigned: tuple[int, ...] = ()
    """Inputs that the plan overwrites."""
    symbols: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Sizes known at run time: name to inclusive range."""
    stats: Mapping[str, Any] = field(default_factory=dict)
    """uops, rewrites, kernels, kernels_fused, peak_bytes, ms per stage; not part of the fingerprint."""

    @property
    def inputs(self) -> tuple[PlanBuffer, ...]:
        """The buffers that the caller hands in."""
        return tuple(b for b in self.buffers if b.role == "input")

    def explain(self, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> Explanation:
        """Each kernel in words: what is fused in it, what goes in and out, what it costs, why it ends where it ends.

        `inputs` and `outputs` are names for them, in order. Print the result, or look at its `kernels`.
        """
        from anneal.runtime.explain import Explanation

        return Explanation(self, tuple(inputs), tuple(outputs))

    def __repr__(self) -> str:
        return f"<plan {self.fingerprint[:8]}: {number_of(len(self.kernels), 'kernel')}, {len(self.buffers)} buffers>"

    def _repr_html_(self) -> str:
        return self.explain()._repr_html_()

    def with_stats(self, **more: Any) -> Plan:
        """The same plan with more statistics."""
        return replace(self, stats={**self.stats, **more})

    def to_dict(self, *, stats: bool = True) -> dict[str, Any]:
        """The plan as JSON types."""
        data = {"version": VERSION, **asdict(self), "symbols": {k: list(v) for k, v in self.symbols.items()}, "stats": dict(self.stats)}
        if not stats:
            del data["stats"]
        return data

    def to_json(self) -> str:
        """The plan as JSON text that `from_json` reads."""
        return json.dumps(self.to_dict(), separators=(",", ":"), sort_keys=True)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON in hex, without statistics and without the phases of kernels.

        A phase says which part of a program first built a value, so it may depend on what else the process has built.
        """
        data = self.to_dict(stats=False)
        for kernel in data["kernels"]:
            del kernel["phases"], kernel["op_phases"]
        text = json.dumps(data, separators=(",", ":"), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `to_json` wrote; raises ParseError on anything else."""
        try:
            data = json.loads(text)
            if data["version"] != VERSION:
                raise ParseError(f"this plan has version {data['version']}, this compiler reads {VERSION}: compile it again")
            plan = cls(
                target=Target.from_dict(data["target"]),
                buffers=tuple(PlanBuffer(b["role"], by_name(b["dtype"]).name, tuple(b["shape"]), b["bytes"]) for b in data["buffers"]),
                kernels=tuple(_kernel(k) for k in data["kernels"]),
                outputs=tuple(map(int, data["outputs"])),
                assigned=tuple(map(int, data["assigned"])),
                symbols={k: (int(v[0]), int(v[1])) for k, v in data["symbols"].items()},
                stats=dict(data["stats"]),
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
            raise ParseError(f"not a plan: {type(error).__name__}: {error}") from error
        _check(plan)
        return plan


def _check(plan: Plan) -> None:
    """Raise ParseError where a plan read from text contradicts itself."""
    held = range(len(plan.buffers))
    wrong = [f"buffer {i} is for {b.role!r}" for i, b in enumerate(plan.buffers) if b.role not in get_args(Role)]
    wrong += [f"there is no buffer {place}" for place in (*plan.outputs, *plan.assigned) if place not in held]
    for kernel in plan.kernels:
        wrong += [f"kernel {kernel.name}: {what}" for what in _contradictions(kernel, held)]
    if wrong:
        raise ParseError(f"not a plan: {wrong[0]}")


def _contradictions(kernel: Kernel, held: range) -> list[str]:
    """What does not fit together in a kernel, whose plan has these buffers."""
    wrong = [f"there is no buffer {b.buffer}" for b in kernel.bindings if b.buffer not in held]
    wrong += [f"there is no scope {b.scope!r}" for b in kernel.boundaries if b.scope not in get_args(Scope)]
    wrong += [f"there is no binding {b.binding}" for b in kernel.boundaries if b.binding not in (None, *range(len(kernel.bindings)))]
    wrong += [f"there is no phase {phase!r}" for phase in (*kernel.phases, *kernel.op_phases) if phase not in ORDER]
    if not kernel.phases or len(kernel.op_phases) not in (0, len(kernel.ops)):
        wrong.append(f"{len(kernel.phases)} phases, and {len(kernel.op_phases)} for {len(kernel.ops)} ops")
    if len(kernel.workgroups) != 3 or len(kernel.workgroup_size) != 3:
        wrong.append("workgroups and their size have three axes each")
    return wrong


def _kernel(data: dict[str, Any]) -> Kernel:
    plain: dict[str, Any] = {k: data[k] for k in ("name", "wgsl", "program", "flops", "bytes")}
    tuples: dict[str, Any] = {k: tuple(data[k]) for k in ("workgroups", "workgroup_size", "phases", "ops")}
    bindings = tuple(_binding(b) for b in data["bindings"])
    boundaries = tuple(Boundary(b["value"], b["scope"], b["reason"], b.get("binding")) for b in data["boundaries"])
    return Kernel(**plain, **tuples, bindings=bindings, boundaries=boundaries, op_phases=tuple(data.get("op_phases", ())))


def _binding(data: dict[str, Any]) -> Binding:
    """A binding; plans made before bindings said what they hold lack all but the first two."""
    held = data.get("op", ""), data.get("dtype", ""), tuple(data.get("shape", ()))
    return Binding(int(data["buffer"]), bool(data["writes"]), bool(data.get("updates", False)), *held)


_BINARY: Final = {ast.Add: operator.add, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod}


def size(value: Size, symbols: Mapping[str, int]) -> int:
    """The number that a size stands for, under values of the symbols."""
    if isinstance(value, int):
        return value
    try:
        return _evaluate(ast.parse(value, mode="eval").body, symbols)
    except (SyntaxError, KeyError, ZeroDivisionError) as error:
        raise ParseError(f"cannot evaluate the size {value!r} with {dict(symbols)}: {error}") from error


def _evaluate(node: ast.expr, symbols: Mapping[str, int]) -> int:
    match node:
        case ast.Constant(value=int(number)) if not isinstance(number, bool):
            return number
        case ast.Name(id=name):
            return symbols[name]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_evaluate(inner, symbols)
        case ast.BinOp(left=left, op=kind, right=right) if type(kind) in _BINARY:
            return int(_BINARY[type(kind)](_evaluate(left, symbols), _evaluate(right, symbols)))
        case _:
            raise ParseError(f"a size may only use names, integers, + * // %: {ast.dump(node)}")
