"""The order of kernels: producers first, and readers of an old value before the store that overwrites it.

`order` answers with a list, or with the assigns that must go through a buffer of their own because no order exists or because a kernel would
overwrite what another of its invocations still reads.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence

from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.uop import UOp
from anneal.schedule.indexing import free_ranges
from anneal.schedule.kernels import Body, memory_of


def physical_of(buffers: dict[UOp, UOp]) -> Callable[[UOp], UOp]:
    """A function from the BUFFER of an assign to the PARAM it overwrites; other memory is itself."""
    table = {memory: root.src[0] for root, memory in buffers.items() if root.op is Ops.ASSIGN}
    return lambda memory: table.get(memory, memory)


def hazards(bodies: Sequence[Body], physical: Callable[[UOp], UOp]) -> list[UOp]:
    """Assigns in kernels where one invocation may overwrite what another one still reads."""
    return [
        root for body in bodies for root, store in zip(body.roots, body.sink.src, strict=True) if root.op is Ops.ASSIGN and _overtakes(store, body, physical)
    ]


def _overtakes(store: UOp, body: Body, physical: Callable[[UOp], UOp]) -> bool:
    """Whether a store may come before another invocation of its kernel has read the old value."""
    target = physical(store.src[0])
    own = frozenset(u for u in toposort(body.sink) if u.op is Ops.LOAD and physical(u.src[0]) is target)
    if not own:
        return False
    if body.outer is not None or any(u.src[1] is not store.src[1] or len(u.src) > 2 for u in own):
        return True
    mine = free_ranges(store)
    if any(free_ranges(other) != mine and own.intersection(toposort(other)) for other in body.sink.src):
        return True
    sums = [u for u in toposort(store) if u.op is Ops.REDUCE]
    return any(free_ranges(other) != mine for other in body.sink.src) and bool(own.intersection(toposort(*sums)))


def order(bodies: Sequence[Body], buffers: dict[UOp, UOp]) -> tuple[list[Body], list[UOp]]:
    """The bodies in order of execution, and the assigns that stand in the way of one (then the order is not complete)."""
    before = _edges(bodies, buffers)
    after: list[list[int]] = [[] for _ in bodies]
    waiting = [len(b) for b in before]
    for i, sources in enumerate(before):
        for j in sources:
            after[j].append(i)
    ready = [i for i, n in enumerate(waiting) if not n]
    heapq.heapify(ready)
    done: list[int] = []
    while ready:
        i = heapq.heappop(ready)
        done.append(i)
        for j in after[i]:
            waiting[j] -= 1
            if not waiting[j]:
                heapq.heappush(ready, j)
    if len(done) == len(bodies):
        return [bodies[i] for i in done], []
    return [], [r for i in _between_cycles(before, after, done) for r in bodies[i].roots if r.op is Ops.ASSIGN]


def _between_cycles(before: Sequence[set[int]], after: Sequence[list[int]], done: Sequence[int]) -> list[int]:
    """The bodies that wait for one another, without those that only wait for them."""
    gone = set(done)
    waiting = [len(set(users) - gone) for users in after]
    last = [i for i, n in enumerate(waiting) if not n and i not in gone]
    while last:
        i = last.pop()
        gone.add(i)
        for j in before[i] - gone:
            waiting[j] -= 1
            if not waiting[j]:
                last.append(j)
    return [i for i in range(len(before)) if i not in gone]


def _edges(bodies: Sequence[Body], buffers: dict[UOp, UOp]) -> list[set[int]]:
    """For each body, those that must run before it."""
    maker = {store.src[0]: i for i, body in enumerate(bodies) for store in body.sink.src}
    readers: dict[UOp, list[int]] = {}
    before: list[set[int]] = [set() for _ in bodies]
    for i, body in enumerate(bodies):
        _, loaded = memory_of(body.sink)
        for memory in loaded:
            readers.setdefault(memory, []).append(i)
            if memory in maker:
                before[i].add(maker[memory])
    for root, memory in buffers.items():
        if root.op is not Ops.ASSIGN or memory not in maker:
            continue
        before[maker[memory]].update(readers.get(root.src[0], ()))
    for i, sources in enumerate(before):
        sources.discard(i)
    return before
