"""The nodes of a program at a stage: numbered, named, and placed in the user's modules.

Numbers are positions in a walk from the outputs, operands first, so the same program has the same numbers. What the user's program says of a
node (its variable, its module) is told of the nodes that it became as well, as far as the trace knows of them.

>>> from anneal.ir.build import param, reduce_axis, sink
>>> from anneal.ir.dtype import dtypes
>>> x = param(0, (2, 3), dtypes.float32)
>>> nodes = Nodes("tensor", ((sink(reduce_axis(Ops.ADD, x, (1,))),),), names={x: "x"})
>>> [(number, u.op.name, nodes.name(u)) for u, number in nodes.numbers.items()]
[(0, 'param', 'x'), (1, 'reduce_axis', None)]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple, Self

from anneal.ir.graph import toposort, users
from anneal.ir.ops import Ops
from anneal.ir.uop import UOp
from anneal.rewrite.trace import Snapshot
from anneal.view.history import LEAVES, History


class Kernel(NamedTuple):
    """What a plan says of a kernel."""

    name: str
    phases: tuple[str, ...]


class Nodes:
    """A program at a stage, and what is known of its nodes."""

    def __init__(
        self,
        stage: str,
        graphs: Sequence[Sequence[UOp]],
        *,
        title: str = "",
        ensures: str = "",
        names: Mapping[UOp, str] | None = None,
        modules: Mapping[UOp, str] | None = None,
        kinds: Mapping[str, str] | None = None,
        kernels: Sequence[Kernel] = (),
        history: History | None = None,
    ) -> None:
        """`graphs` is as a `Snapshot` has it; `names` and `modules` are of nodes of the user's program."""
        self.stage = stage
        """Which stage the program is after."""
        self.graphs = tuple(map(tuple, graphs))
        """The roots of each graph: one of the whole program, later one a kernel; after `lowered`, a kernel's instructions."""
        self.title = title
        """What the program is called."""
        self.ensures = ensures
        """What holds after the stage."""
        self.kinds = dict(kinds or {})
        """The class of each module."""
        self.kernels = tuple(kernels)
        """The kernels; empty while there are none."""
        self.history = history or History([], [], [root for roots in self.graphs for root in roots])
        self._names = dict(names or {})
        self._modules = dict(modules or {})

    @cached_property
    def numbers(self) -> dict[UOp, int]:
        """Every node but the SINKs, and its number."""
        found = toposort(*(root for roots in self.graphs for root in roots))
        return {u: i for i, u in enumerate(u for u in found if u.op is not Ops.SINK)}

    @cached_property
    def order(self) -> list[UOp]:
        """The nodes by number."""
        return list(self.numbers)

    @cached_property
    def readers(self) -> dict[UOp, list[UOp]]:
        """Who reads each node."""
        found = users(self.numbers)
        return {u: found[u] for u in self.numbers}

    def roots(self, number: int) -> tuple[UOp, ...]:
        """What a graph computes: its outputs, a kernel's stores, or all its instructions."""
        graph = self.graphs[number]
        return graph[0].src if len(graph) == 1 and graph[0].op is Ops.SINK else graph

    @property
    def results(self) -> tuple[UOp, ...]:
        """The outputs of the program, in order; none where the graphs are kernels."""
        return () if self.kernels else tuple(u for i in range(len(self.graphs)) for u in self.roots(i))

    @cached_property
    def outputs(self) -> dict[UOp, int]:
        """The nodes that are outputs of the program, and which."""
        return {u: i for i, u in reversed(list(enumerate(self.results)))}

    @cached_property
    def _named(self) -> dict[UOp, str]:
        """The name of each node that has one: its own, or that of what it was before."""
        named = {u: name for u, name in self._names.items() if u in self.numbers}
        for before, name in self._names.items():
            if before.op in LEAVES:
                continue
            for node in self.history.became(before)[1:]:
                if node in self.numbers and node.op not in LEAVES:
                    named.setdefault(node, name)
        return named

    @cached_property
    def leaf_names(self) -> dict[UOp, str]:
        """What inputs, and other leaves that have a name, are written as."""
        return {u: name for u, name in self._names.items() if u.op in LEAVES}

    def name(self, node: UOp) -> str | None:
        """What the user's program calls a node."""
        return self._named.get(node) or self._names.get(node)

    def module(self, node: UOp) -> str | None:
        """The module of the user's that a node, or what it was made from, belongs to; None outside of all."""
        if node in self._modules or self.history.maker(node) is None:
            return self._modules.get(node)
        for step in reversed(self.history.chain(node)):
            if step.before in self._modules:
                self._modules[node] = self._modules[step.before]
                break
        return self._modules.get(node)

    @classmethod
    def after(cls, snapshot: Snapshot, **known: Any) -> Self:
        """The program after a stage, with what else is known of it."""
        return cls(snapshot.stage, snapshot.graphs, ensures=snapshot.ensures, **known)
