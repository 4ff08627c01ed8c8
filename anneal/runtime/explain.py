"""The kernels of a plan in words: what is fused, what goes in and out, what it costs, why each kernel ends where it ends.

Everything said is in the plan; nothing is compiled or run for it. A value that lives in a temporary buffer goes by the kernel and the op
that made it, since one buffer holds several values in turn.

>>> from anneal import Target, Tensor, compile
>>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
>>> told = compile((x @ x).softmax(), target=Target.portable()).explain(["x"])
>>> [(k.kernel.name, k.inputs[0].name, k.outputs[0].name) for k in told.kernels]
[('matmul_2x2', 'x', 'matmul_2x2.reduce_add'), ('max_sum_div_2x2', 'matmul_2x2.reduce_add', 'output0')]
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from anneal.ir.dtype import by_name
from anneal.view.phases import ORDER, PLAIN, Painter

if TYPE_CHECKING:
    from anneal.runtime.plan import Binding, Boundary, Kernel, Plan, Role, Size

_WIDTH: Final = 100
"""Columns where there is no terminal."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value that a kernel reads or writes."""

    name: str
    """An input or output as the caller calls it; else the kernel and the op that made it."""
    role: Role
    dtype: str
    shape: tuple[Size, ...]
    bytes: Size
    maker: str | None
    """The kernel that made it; None for what the caller hands in."""
    readers: tuple[str, ...]
    """The kernels after that one which read it."""


@dataclass(frozen=True, slots=True)
class Fused:
    """The operations of one phase in a kernel."""

    phase: str
    ops: tuple[str, ...]
    """As op, dtype and shape, in order of computation."""


@dataclass(frozen=True, slots=True)
class Stand:
    """Why a value is where it is."""

    boundary: Boundary
    stored: Value | None
    """The value in memory, for one that is stored."""


@dataclass(frozen=True, slots=True)
class Explained:
    """A kernel, and what its plan tells of it."""

    number: int
    """Its place in the plan, from 1."""
    kernel: Kernel
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    """What it writes; a value that it changes in place is among the inputs too."""
    groups: tuple[Fused, ...]
    """Its operations by phase, forward first; one group of the kernel's first phase where the plan does not know the phases of operations."""
    stands: tuple[Stand, ...]

    @property
    def fuses(self) -> bool:
        """True where it computes for more than one phase."""
        return len(self.kernel.phases) > 1

    @property
    def intensity(self) -> float | None:
        """Arithmetic operations a byte moved; None where that is not known before run time."""
        flops, moved = self.kernel.flops, self.kernel.bytes
        return flops / moved if isinstance(flops, int) and isinstance(moved, int) and moved else None


@dataclass(frozen=True)
class Explanation:
    """What `Plan.explain` gives: prints as text, shows as a table in a notebook."""

    plan: Plan
    input_names: tuple[str, ...] = ()
    output_names: tuple[str, ...] = ()
    kernels: tuple[Explained, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernels", _explained(self.plan, self.input_names, self.output_names))

    def text(self, painter: Painter = PLAIN, width: int | None = None) -> list[str]:
        """Lines of text, at most `width` columns wide where words allow; by default as wide as the terminal."""
        columns = shutil.get_terminal_size((_WIDTH, 0)).columns if width is None else width
        from anneal.runtime import explain_text

        lines = [line for k in self.kernels for line in (*explain_text.kernel_lines(k, painter, columns), "")]
        return [*lines, *explain_text.summary_lines(self, painter, columns)]

    def __str__(self) -> str:
        return "\n".join(self.text())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from anneal.runtime import explain_html

        return explain_html.page(self)


def _explained(plan: Plan, inputs: Sequence[str], outputs: Sequence[str]) -> tuple[Explained, ...]:
    written = _Values(plan, inputs, outputs)
    made = []
    for at, kernel in enumerate(plan.kernels):
        reads = tuple(written.read(at, b) for b in kernel.bindings if not b.writes or b.updates)
        stores = {i: written.made[at, b.buffer] for i, b in enumerate(kernel.bindings) if b.writes}
        stands = tuple(Stand(b, None if b.binding is None else stores.get(b.binding)) for b in kernel.boundaries)
        made.append(Explained(at + 1, kernel, reads, tuple(stores.values()), _groups(kernel), stands))
    return tuple(made)


def _groups(kernel: Kernel) -> tuple[Fused, ...]:
    phases = kernel.op_phases or (kernel.phases[0],) * len(kernel.ops)
    pairs = list(zip(kernel.ops, phases, strict=True))
    return tuple(Fused(phase, tuple(op for op, p in pairs if p == phase)) for phase in ORDER if phase in phases)


class _Values:
    """Which value each buffer holds, kernel after kernel."""

    def __init__(self, plan: Plan, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self.plan = plan
        self.names = _given_names(plan, inputs, outputs)
        self.last: dict[tuple[int, int], int | None] = {}
        """For each read, as kernel and buffer, the kernel that wrote the buffer last."""
        self.made: dict[tuple[int, int], Value] = {}
        """The values that kernels write, by kernel and buffer."""
        readers: dict[tuple[int | None, int], list[str]] = {}
        writer: dict[int, int] = {}
        for at, kernel in enumerate(plan.kernels):
            for b in kernel.bindings:
                if not b.writes or b.updates:
                    self.last[at, b.buffer] = writer.get(b.buffer)
                    readers.setdefault((writer.get(b.buffer), b.buffer), []).append(kernel.name)
            writer |= {b.buffer: at for b in kernel.bindings if b.writes}
        for at, kernel in enumerate(plan.kernels):
            ops: dict[str, int] = {}
            for b in kernel.bindings:
                if b.writes:
                    ops[b.op] = number = ops.get(b.op, 0) + 1
                    own = ".".join(filter(None, (kernel.name, b.op or "value", str(number) if number > 1 else "")))
                    self.made[at, b.buffer] = self._value(b, self.names.get(b.buffer, own), kernel.name, readers.get((at, b.buffer), []))
        self.readers = readers

    def read(self, at: int, binding: Binding) -> Value:
        """The value that a kernel reads from a buffer."""
        maker = self.last[at, binding.buffer]
        if maker is not None:
            return self.made[maker, binding.buffer]
        name = self.names.get(binding.buffer, f"buffer{binding.buffer}")
        return self._value(binding, name, None, self.readers[None, binding.buffer])

    def _value(self, binding: Binding, name: str, maker: str | None, readers: Sequence[str]) -> Value:
        buffer = self.plan.buffers[binding.buffer]
        dtype, shape = (binding.dtype, binding.shape) if binding.dtype else (buffer.dtype, buffer.shape)
        return Value(name, buffer.role, dtype, shape, _bytes(dtype, shape, buffer.bytes), maker, tuple(readers))


def _bytes(dtype: str, shape: tuple[Size, ...], buffer: Size) -> Size:
    """The bytes of a value; of its buffer where a size is known at run time only."""
    total = by_name(dtype).storage
    for size in shape:
        if not isinstance(size, int):
            return buffer
        total *= size
    return total


def _given_names(plan: Plan, inputs: Sequence[str], outputs: Sequence[str]) -> dict[int, str]:
    """The names of inputs, and of outputs that have buffers of their own."""
    names = dict(enumerate(inputs))
    slots = [at for at, b in enumerate(plan.buffers) if b.role == "input"]
    names = {at: names.get(i, f"input{i}") for i, at in enumerate(slots)}
    for i, at in enumerate(plan.outputs):
        names.setdefault(at, outputs[i] if i < len(outputs) else f"output{i}")
    return names
