"""What a tab has open: the program that was run, its graphs after each stage, and a number for every node that the page was told of.

This is what answers are made from. An answer is a function `(state, params) -> JSON object`, plain or async, listed in the `TABLE` of
`anneal.viz.tab`. It raises `AnnealError` for what cannot be; `Tab` makes a failure of it.

    state.emit("train", {...})          an event for the page, at any time
    state.no_device                     None, or why there is no device, in words; runtime.device.get_device() opens the device
    state.open                          the program that is open, `Opened`; raises UsageError while there is none
    opened.source, .name, .part         its text, what it is called, and "forward", "backward" or "step"
    opened.example                      the Example that the program ended in; None where it ended in tensors
    opened.model                        what it ended in, as an examples.model.Model
    opened.tensors                      the tensors of the part, in order: the outputs of the program
    opened.traced                       their `realize.Program`: sink over PARAMs, buffers by slot
    opened.known                        names of nodes and inputs, modules, counterparts: `tensor.graph.Known`
    opened.account                      whose lines and phases its nodes have
    opened.built                        the Trace of the gradient rules (stage "backward") that fired while the program was built
    opened.compiled                     plan, target, trace of the whole compilation: `Compiled`; compiles where nothing has yet
    opened.output_names                 what the outputs are called; inputs are in opened.known.inputs
    opened.graph(stage)                 the `view.graph.Graph` of a stage among STAGES, with history and names
    opened.ids.number(u), .uop(number)  ids of UOps, both ways, as long as the program is open
    opened.rows(nodes)                  the rows of those nodes that the page has not been told of
    opened.once(key, make)              what `make` finds of the compilation, found once
    opened.closing                      functions to call when another program is opened

>>> State().program is None
True
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, TypeVar

from anneal.codegen.target import Target
from anneal.errors import UsageError
from anneal.examples.example import Example
from anneal.examples.model import Model
from anneal.export.schema.graph import Part
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.uop import ARENA, Account, Origin, UOp
from anneal.rewrite import session
from anneal.rewrite.trace import Trace
from anneal.runtime.plan import Plan
from anneal.tensor import graph as described
from anneal.tensor import realize
from anneal.tensor.graph import Known
from anneal.tensor.tensor import Tensor
from anneal.view import film
from anneal.view.graph import Graph
from anneal.view.nodes import Kernel
from anneal.viz import rows
from anneal.viz.messages import Row, is_whole

Result = TypeVar("Result")
STAGES: Final = ("tensor", "backward", "simplified", "kernels", "lowered")
"""The stages that have a graph. `tensor` is the forward pass, `backward` the whole program as the compiler is given it."""


class Ids:
    """Numbers for nodes, given as the page is told of them."""

    def __init__(self) -> None:
        self._numbers: dict[UOp, int] = {}
        self._uops: list[UOp] = []

    def number(self, node: UOp) -> int:
        """The number of a node; a new one gets the next."""
        found = self._numbers.get(node)
        if found is None:
            found = self._numbers[node] = len(self._uops)
            self._uops.append(node)
        return found

    def uop(self, number: object) -> UOp:
        """The node of a number; raises UsageError where none has it."""
        if not is_whole(number, 0, len(self._uops) - 1):
            raise UsageError(f"no node {number!r} in the program that is open: its nodes have the numbers that the page was told")
        return self._uops[number]


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compilation that was watched."""

    plan: Plan
    target: Target
    trace: Trace
    """Everything that it did; gradient rules are in `Opened.built`."""


@dataclass
class Opened:
    """A program of the user's, run and built."""

    name: str
    source: str
    part: Part
    model: Model | None
    tensors: list[Tensor]
    traced: realize.Program
    known: Known
    built: Trace
    account: Account
    target: Target = field(default_factory=Target.portable)
    """What `compiled` is compiled for."""
    ids: Ids = field(default_factory=Ids)
    closing: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._told: set[UOp] = set()
        self._folds = rows.Folds()
        self._found: dict[str, Any] = {}
        inputs = (u for u in toposort(self.traced.sink) if u.op is Ops.PARAM)
        self._made = {u: self.traced.buffers[u.arg[0]].uop.origin for u in inputs}

    @property
    def example(self) -> Example | None:
        """The example that the program ended in; None where it ended in tensors."""
        value = self.model.value if self.model is not None else None
        return value if isinstance(value, Example) else None

    @cached_property
    def output_names(self) -> list[str]:
        """A name for each output: the user's, of an assign that of the tensor which it overwrites, or its number."""
        found = []
        for number, node in enumerate(self.traced.sink.src):
            base = node
            while base.op is Ops.ASSIGN:
                base = base.src[0]
            found.append(self.known.names.get(base) or f"output{number}")
        return found

    def origin(self, node: UOp) -> Origin | None:
        """The line that built a node; of an input, the line that made it."""
        return self._made.get(node, node.origin)

    @property
    def is_compiled(self) -> bool:
        """True where a compilation is there, and `compiled` would do nothing."""
        return "compiled" in self.__dict__

    @cached_property
    def compiled(self) -> Compiled:
        """The program compiled for `target`. Raises CompileError where the target cannot run it."""
        with session.watching() as trace, ARENA.account(self.account):
            plan = realize.compile_program(self.traced, self.target)
        self.__dict__.pop("_graphs", None)
        return Compiled(plan, self.target, trace)

    def compile_for(self, target: Target) -> Compiled:
        """The program compiled for a target; the graphs are those of the last one asked for."""
        if target != self.target:
            self.target = target
            self._found.clear()
            self.__dict__.pop("compiled", None)
            self.__dict__.pop("_graphs", None)
        return self.compiled

    def once(self, key: str, make: Callable[[], Result]) -> Result:
        """What `make` finds of the compilation, found once for each target."""
        if key not in self._found:
            self._found[key] = make()
        found: Result = self._found[key]
        return found

    def graph(self, stage: object) -> Graph:
        """The program after a stage. Raises UsageError for a stage that has no graph."""
        if stage not in STAGES:
            raise UsageError(f"no graph after the stage {stage!r}: there are {', '.join(STAGES)}")
        if stage not in STAGES[:2]:
            _ = self.compiled
        return self._graphs[str(stage)]

    @cached_property
    def _graphs(self) -> dict[str, Graph]:
        """The graphs that there are by now, by stage."""
        done = self.__dict__.get("compiled")
        trace = done.trace if done is not None else Trace()
        kernels = [Kernel(k.name, k.phases) for k in done.plan.kernels] if done is not None else []
        graphs = described.graphs(self.known, self.built.events, trace, kernels)
        whole = graphs.pop("tensor")
        whole.stage = "backward"
        return {"tensor": self._forward(whole), "backward": whole, **graphs}

    def _forward(self, whole: Graph) -> Graph:
        """The forward pass alone."""
        roots = film.forward(self.traced.sink)
        known: dict[str, Any] = {"names": self.known.names, "modules": self.known.modules, "kinds": self.known.kinds}
        return Graph("tensor", (roots,), ensures="the forward pass as it is written", history=whole.history, **known)

    def numbers(self, nodes: Iterable[UOp]) -> list[int]:
        """The ids of some nodes."""
        return [self.ids.number(u) for u in nodes]

    def rows(self, nodes: Sequence[UOp], stage: str = "backward") -> list[Row]:
        """A row for each of some nodes that the page has not been told of yet; names and modules are as the graph of `stage` knows them."""
        graph = self.graph(stage)
        new = [u for u in dict.fromkeys(nodes) if u not in self._told]
        self._told.update(new)
        return [self._row(u, graph) for u in new]

    def _row(self, node: UOp, graph: Graph) -> Row:
        name = graph.name(node)
        flags = rows.RESULT if node.op in rows.STORES or node in graph.outputs else self._folds.flag(node)
        return [
            self.ids.number(node), node.op.name, node.dtype.name, rows.dims(node), self.numbers(node.src),
            rows.label(node, name), rows.phase(node), flags, rows.line(self.origin(node)), graph.module(node), name,
        ]  # fmt: skip

    def close(self) -> None:
        """Let go of everything."""
        for stop in self.closing:
            stop()
        self.closing.clear()


def _nobody(name: str, data: dict[str, Any]) -> None:
    """Whoever is told, where nobody listens."""


class State:
    """What a tab knows."""

    def __init__(self, emit: Callable[[str, dict[str, Any]], None] | None = None, *, source_hash: str = "", no_device: str | None = None) -> None:
        self.emit = emit or _nobody
        self.source_hash = source_hash
        self.no_device = no_device
        self.program: Opened | None = None
        self.kept: dict[str, Any] = {}
        """What answers keep as long as the tab lives, whatever program is open."""

    @property
    def open(self) -> Opened:
        """The program that is open; raises UsageError while there is none."""
        if self.program is None:
            raise UsageError("no program is open: compile one first")
        return self.program
