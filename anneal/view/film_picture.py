"""A picture of a graph that changes a little at a time, and what each change touched.

A slot is a place in the picture. Whatever takes the place of a node takes over its slot, so who reads it need not change; only where the new node
stands in the picture already, the readers are sent there, and two places become one. What nobody reads any more, and is no root, leaves.

>>> from anneal.ir.build import variable
>>> x, y = variable("x", 0, 9), variable("y", 0, 9)
>>> picture = Picture([x * 2 + y])
>>> [(at.slot, at.uop.op.name, at.src) for at in picture.places()]
[(0, 'variable', ()), (1, 'const', ()), (2, 'mul', (0, 1)), (3, 'variable', ()), (4, 'add', (2, 3))]
>>> picture.put(x * 2, x + x)
2
>>> change = picture.change()
>>> change.become == {2: x + x}, change.edges, change.drop
(True, {2: (0, 0)}, (1,))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from anneal.ir.graph import toposort
from anneal.ir.uop import UOp


class Placed(NamedTuple):
    """A node and its place."""

    slot: int
    uop: UOp
    src: tuple[int, ...]
    """The places of what it reads. While the rewriter works, these may be ahead of the node's own operands: they hold what those have become."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a step touches. It is applied in the order of the fields."""

    add: tuple[Placed, ...] = ()
    """New places, operands first."""
    become: Mapping[int, UOp] = field(default_factory=dict)
    """The new node of a place."""
    edges: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """What a place reads from now on."""
    roots: tuple[int, ...] | None = None
    """The places of the roots, where they are others than before."""
    drop: tuple[int, ...] = ()
    """Places that are empty from now on."""

    def __bool__(self) -> bool:
        return bool(self.add or self.become or self.edges or self.drop) or self.roots is not None


class Picture:
    """A graph whose nodes have places; the changes since they were last asked for are known."""

    def __init__(self, roots: Sequence[UOp], became: Mapping[UOp, UOp] | None = None) -> None:
        """`became` says what each node turns into while the picture changes: a node that has left is shown as that when something reads it again."""
        self.node: dict[int, UOp] = {}
        """Who stands at a place."""
        self.src: dict[int, tuple[int, ...]] = {}
        """The places that a place reads."""
        self.roots: tuple[int, ...] = ()
        """The places of the roots."""
        self._became = became or {}
        self._place: dict[UOp, int] = {}
        self._readers: dict[int, dict[int, None]] = {}
        self._held: frozenset[int] = frozenset()
        self._seen: set[UOp] = set()
        self._count = 0
        self._touched: dict[int, tuple[UOp | None, tuple[int, ...]]] = {}
        self._old_roots: tuple[int, ...] = ()
        self._set_roots(tuple([self.add(u) for u in roots]))
        self.change()

    def __contains__(self, node: UOp) -> bool:
        return node in self._place

    def places(self) -> tuple[Placed, ...]:
        """Every place, operands first, in the order of a walk from the roots; then those that no root reaches."""
        return self._sorted([*self.roots, *self.node], self.node)

    def add(self, root: UOp) -> int:
        """The place of a node; it and what it reads get places as far as they have none."""
        place, stack = self._place, [root]
        while stack:
            node = self._now(stack[-1])
            if node not in place:
                if missing := [s for s in node.src if self._now(s) not in place]:
                    stack += missing[::-1]
                    continue
                self._write(self._count, node, tuple([place[self._now(s)] for s in node.src]))
                self._count += 1
            stack.pop()
        return place[self._now(root)]

    def put(self, before: UOp, after: UOp) -> int:
        """Put a node in the place of another, and return its place."""
        slot, after = self._place[before], self._now(after)
        other = self._place.get(after)
        if other is not None:
            if other != slot:
                self._redirect(slot, other)
            return other
        old, src = self.src[slot], tuple([self.add(s) for s in after.src])
        self._write(slot, after, src)
        self._release(s for s in old if s not in src)
        return slot

    def become(self, roots: Sequence[UOp], origins: Mapping[UOp, UOp]) -> None:
        """Show another graph instead: nodes that are in both stay, and others take over the places of their origins, as far as these are free."""
        order = toposort(*roots)
        kept = set(order)
        for node in order:
            if node not in self._place:
                origin = origins.get(node)
                free = origin is not None and origin not in kept
                slot = self._place.get(origin) if free and origin is not None else None
                if slot is None:
                    slot = self._count
                    self._count += 1
                self._write(slot, node, tuple([self._place[s] for s in node.src]))
        self._set_roots(tuple([self._place[u] for u in roots]))
        self._release(list(self.node))

    def change(self) -> Change:
        """What has changed since the last time."""
        fresh = [slot for slot, (node, _) in self._touched.items() if node is None and slot in self.node]
        stayed = [(slot, was) for slot, was in self._touched.items() if was[0] is not None and slot in self.node]
        become = {slot: self.node[slot] for slot, (node, _) in stayed if self.node[slot] is not node}
        edges = {slot: self.src[slot] for slot, (_, src) in stayed if self.src[slot] != src}
        drop = tuple(slot for slot, (node, _) in self._touched.items() if node is not None and slot not in self.node)
        roots = None if self.roots == self._old_roots else self.roots
        self._touched, self._old_roots = {}, self.roots
        return Change(self._sorted(fresh, dict.fromkeys(fresh)), become, edges, roots, drop)

    def _now(self, node: UOp) -> UOp:
        """The node, or what it has become if it had a place and lost it."""
        if node in self._seen:
            while node not in self._place and node in self._became:
                node = self._became[node]
        return node

    def _touch(self, slot: int) -> None:
        if slot not in self._touched:
            self._touched[slot] = self.node.get(slot), self.src.get(slot, ())

    def _write(self, slot: int, node: UOp, src: tuple[int, ...]) -> None:
        """Let a node stand at a place and read others."""
        self._touch(slot)
        if slot in self.node:
            del self._place[self.node[slot]]
            for s in self.src[slot]:
                self._readers[s].pop(slot, None)
        else:
            self._readers[slot] = {}
        self.node[slot], self.src[slot], self._place[node] = node, src, slot
        self._seen.add(node)
        for s in src:
            self._readers[s][slot] = None

    def _redirect(self, slot: int, other: int) -> None:
        """Let all who read one place read another."""
        for reader in self._readers[slot]:
            self._touch(reader)
            self.src[reader] = tuple([other if s == slot else s for s in self.src[reader]])
            self._readers[other][reader] = None
        self._readers[slot] = {}
        if slot in self._held:
            self._set_roots(tuple([other if s == slot else s for s in self.roots]))
        self._release((slot,))

    def _set_roots(self, roots: tuple[int, ...]) -> None:
        self.roots, self._held = roots, frozenset(roots)

    def _release(self, slots: Iterable[int]) -> None:
        """Drop places that nobody reads, and what only they have read."""
        stack = list(slots)
        while stack:
            slot = stack.pop()
            if slot not in self.node or self._readers[slot] or slot in self._held:
                continue
            self._touch(slot)
            del self._place[self.node.pop(slot)], self._readers[slot]
            for s in self.src.pop(slot):
                self._readers[s].pop(slot, None)
                stack.append(s)

    def _sorted(self, slots: Iterable[int], inside: Mapping[int, object]) -> tuple[Placed, ...]:
        """Places, operands first, as far as they are among those inside."""
        done: dict[int, None] = {}
        stack = [(slot, False) for slot in slots][::-1]
        while stack:
            slot, ready = stack.pop()
            if slot in done or slot not in inside:
                continue
            if ready:
                done[slot] = None
            else:
                stack.append((slot, True))
                stack += [(s, False) for s in self.src[slot][::-1]]
        return tuple(Placed(slot, self.node[slot], self.src[slot]) for slot in done)
