"""From lazy graphs to values: what a set of graphs reads, the plan for it, and running that plan.

The buffers that a graph reads become numbered parameters in the order of a walk from its outputs, so a plan knows nothing of tensors and
serves every graph of the same structure. A realise that fails leaves every tensor as it was.

>>> import anneal
>>> program = trace([(anneal.Tensor([1.0, 2.0]) + 1).uop])
>>> len(program.buffers), program.sink.src[0].op.name
(1, 'add')
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from anneal.errors import DeviceError, ShapeError
from anneal.ir import build
from anneal.ir.graph import substitute_all, toposort
from anneal.ir.ops import Ops
from anneal.ir.shape import shape, show
from anneal.ir.uop import UOp
from anneal.tensor import host, storage
from anneal.tensor.storage import Buffer

if TYPE_CHECKING:
    from anneal.codegen.target import Target
    from anneal.runtime.device import Device
    from anneal.runtime.plan import Plan

RAN: Final[ContextVar[Callable[[Program], None] | None]] = ContextVar("ran", default=None)
"""Called, where somebody watches, with each program that has been run."""


@dataclass(frozen=True, slots=True)
class Program:
    """Graphs without identities: ready to compile, and what to run the plan on."""

    sink: UOp
    """The outputs over PARAM nodes."""
    buffers: tuple[Buffer, ...]
    """What the parameters stand for, by slot."""
    outputs: tuple[UOp, ...]
    """The graphs as they were given, over BUFFER nodes."""
    assigns: Mapping[UOp, int]
    """Every ASSIGN node, and the slot of the buffer that it overwrites."""
    last: frozenset[UOp]
    """The ASSIGN nodes whose value a buffer holds at the end."""
    constant: frozenset[UOp]
    """The outputs that read no buffer: the same wherever they are computed."""


def trace(outputs: Sequence[UOp]) -> Program:
    """Find what the outputs read; raises StaleTensorError when that has been overwritten since."""
    known: dict[UOp, UOp] = {}
    slots: dict[Buffer, int] = {}
    assigned: dict[UOp, int] = {}
    reading: set[UOp] = set()
    for node in toposort(*outputs, enter=lambda u: storage.realised(u) is None):
        value = storage.realised(node)
        if value is not None:
            buffer = storage.buffer_of(storage.base(value))
            slot = slots.setdefault(buffer, len(slots))
            known[node] = build.reshape(build.param(slot, buffer.shape, buffer.dtype), shape(value))
            reading.add(node)
        elif node.op is Ops.ASSIGN:
            target = node.src[0]
            assigned[node] = assigned[target] if target in assigned else known[target].arg[0]
        if any(s in reading for s in node.src):
            reading.add(node)
    return Program(build.sink(*substitute_all(outputs, known)), tuple(slots), tuple(outputs), assigned, _last(assigned), frozenset(outputs) - reading)


def _last(assigned: Mapping[UOp, int]) -> frozenset[UOp]:
    """The last assign of each buffer; the assigns of a buffer must follow one another."""
    inner = {a.src[0] for a in assigned}
    last = [a for a in assigned if a not in inner]
    if len({assigned[a] for a in last}) < len(last):
        raise ShapeError("one tensor is assigned two values that know nothing of each other: realise the first before the second is assigned")
    return frozenset(last)


def compile_program(program: Program, target: Target) -> Plan:
    """The plan for a program; needs no device."""
    from anneal.runtime.pipeline import compile_graph

    return compile_graph(program.sink, target)


def open_device(name: str | None) -> Device:
    """The device of that name, or the default one."""
    from anneal.runtime.device import get_device

    return get_device(name)


class Executable:
    """A program compiled for a device, with its inputs there: run it as often as you like.

    Each run reads what its input buffers hold by then and leaves its results in `storages`; the tensors that it assigns follow.
    """

    def __init__(self, program: Program, device: Device, target: Target | None = None) -> None:
        """Compiled for all that the device offers, unless another target is given that the device fits too."""
        self.program = program
        self.device = device
        self.plan = compile_program(program, target or device.target)
        place(program.buffers, device)
        made = [b for b in self.plan.buffers if b.role == "output"]
        self.inputs = len(program.buffers)
        self.made = [device.allocate(int(b.bytes)) for b in made]

    @property
    def storages(self) -> list[Any]:
        """The device's handle of each output, in order."""
        return [self.storage(at) for at in self.plan.outputs]

    def storage(self, at: int) -> Any:
        """The device's handle of buffer `at` of the plan."""
        return self.program.buffers[at].storage if at < self.inputs else self.made[at - self.inputs]

    def run(self) -> None:
        """Run the plan once. Tensors that it assigns have their new values from now on; graphs over the old ones are stale."""
        self.device.execute(self.plan, self._bound())
        self._follow()

    def profile(self) -> list[float]:
        """Run the plan once, as `run` does, and return the seconds that each kernel took."""
        seconds = self.device.profile(self.plan, self._bound())
        self._follow()
        return seconds

    async def profile_async(self) -> list[float]:
        """As `profile`; a browser tab goes on with other work meanwhile."""
        seconds = await self.device.profile_async(self.plan, self._bound())
        self._follow()
        return seconds

    def _bound(self) -> list[Any]:
        return [*(b.storage for b in self.program.buffers), *self.made]

    def _follow(self) -> None:
        """Let the tensors that a run has assigned have their new values."""
        program = self.program
        if (observe := RAN.get()) is not None:
            observe(program)
        new = {slot: program.buffers[slot].overwritten() for slot in sorted(set(program.assigns.values()))}
        for node, slot in program.assigns.items():
            if node in program.last:
                storage.mark_realised(node, new[slot])
            for tensor in storage.holders(node):
                tensor.follow(new[slot])

    def read(self, output: int) -> bytes:
        """The bytes of output number `output` after the last run."""
        return self.device.read(*self._place(output))

    async def read_async(self, output: int) -> bytes:
        """As `read`; a browser tab goes on with other work meanwhile."""
        return (await self.device.read_many_async([self._place(output)]))[0]

    def _place(self, output: int) -> tuple[Any, int]:
        node = self.program.outputs[output]
        return self.storages[output], host.nbytes(sizes(node), node.dtype)


def read(buffer: Buffer) -> bytes:
    """The bytes of a buffer whose values are there: those of the host, or the device's."""
    data = buffer.on_host()
    return bytes(data) if data is not None else open_device(buffer.device).read(buffer.storage, buffer.nbytes)


async def read_async(buffer: Buffer) -> bytes:
    """As `read`; a browser tab goes on with other work meanwhile."""
    if (data := buffer.on_host()) is not None:
        return bytes(data)
    return (await open_device(buffer.device).read_many_async([(buffer.storage, buffer.nbytes)]))[0]


def sizes(node: UOp) -> tuple[int, ...]:
    """The shape of a node whose values are wanted: numbers all through."""
    dims = shape(node)
    if not all(isinstance(d, int) for d in dims):
        raise ShapeError(f"cannot realise shape {show(dims)}: give the symbol a value first")
    return tuple(d for d in dims if isinstance(d, int))


def place(buffers: Sequence[Buffer], device: Device) -> None:
    """Put the values of every buffer on `device`."""
    for buffer in buffers:
        if buffer.device not in (None, device.name):
            where = f"a tensor of shape {buffer.shape} is on {buffer.device}"
            raise DeviceError(f"{where}, and this computation runs on {device.name}: move it with .to({device.name!r})")
    deferred = [(b, b.pending) for b in buffers if isinstance(b.pending, UOp)]
    while deferred:  # equal graphs one after the other: each buffer has memory of its own
        batch = {graph: buffer for buffer, graph in reversed(deferred)}
        run = Executable(trace([build.contiguous(graph) for graph in batch]), device)
        run.run()
        for buffer, memory in zip(batch.values(), run.storages, strict=True):
            buffer.adopt(memory, device.name)
        deferred = [(b, g) for b, g in deferred if b.pending is not None]
    for buffer in buffers:
        buffer.place(device)


def realize(outputs: Sequence[UOp], name: str | None = None) -> list[UOp]:
    """Compute graphs together, in one plan, and return for each the node of the buffer (perhaps reshaped) that holds its values."""
    wanted = [u for u in dict.fromkeys(outputs) if storage.realised(u) is None and 0 not in sizes(u)]
    program = trace(wanted)
    there = [storage.buffer_of(storage.base(v)) for u in outputs if (v := storage.realised(u)) is not None]
    device = open_device(next((n for n in (name, *(b.device for b in (*program.buffers, *there))) if n), None))
    found: dict[UOp, UOp] = {}
    if wanted:
        run = Executable(program, device)
        run.run()
        found = _settle(run)
    values = [found.get(u) or storage.realised(u) or _empty(u) for u in outputs]
    place([storage.buffer_of(storage.base(v)) for v in values], device)
    return values


def _settle(run: Executable) -> dict[UOp, UOp]:
    """Where a run has left its outputs; those that read buffers are remembered, so that later graphs do not compute them again."""
    program, found = run.program, dict[UOp, UOp]()
    fresh: dict[int, Buffer] = {}
    for node, at in zip(program.outputs, run.plan.outputs, strict=True):
        if at < run.inputs:
            buffer = program.buffers[at]
        else:
            buffer = fresh.setdefault(at, Buffer(sizes(node), node.dtype))
            buffer.adopt(run.storage(at), run.device.name)
        found[node] = build.reshape(buffer.uop, shape(node))
        if node not in program.assigns and node not in program.constant:
            storage.mark_realised(node, found[node])
    return found


def _empty(node: UOp) -> UOp:
    """The buffer of a graph without elements, which needs no computation."""
    return Buffer(sizes(node), node.dtype, pending=b"").uop
