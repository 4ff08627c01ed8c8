"""How a graph changes, one rewrite at a time: a beginning, and steps that each touch a little of it.

Every step is one rule that fired: the result stands in the place of the node that matched, and whoever only read something that is new now is put on
its new operands. The nodes of a film are those of the real compiler, in the order in which it worked, and what the last step leaves is the graph that it
went on with. Before every step the picture is a whole program with the same values as at the beginning.

>>> from anneal.ir.build import variable
>>> from anneal.rules import SIMPLIFY, table
>>> x, trace = variable("x", 0, 9), Trace()
>>> result = trace.rewrite("kernels", [(x * 1 + 0) * 2], table(*SIMPLIFY)).roots[0]
>>> [scene] = scenes(trace, "kernels")
>>> scene.title, scene.rules
('(x*1 + 0)*2', ('mul_one', 'add_zero'))
>>> film = scene.film()
>>> [(step.rule, sorted(step.change.drop)) for step in film.steps]
[('mul_one', [1, 2]), ('add_zero', [3, 4])]
>>> film.end().node[film.end().roots[0]] is result
True
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from anneal.errors import number_of
from anneal.ir.dtype import dtypes
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.uop import UOp
from anneal.rewrite.trace import Call, Event, Trace
from anneal.view.expression import expression
from anneal.view.film_picture import Change, Picture, Placed
from anneal.view.fold import LOWERED
from anneal.view.history import BACKWARD

SIMPLIFIED: Final = "simplified"
"""The stage that rewrites the program as a whole."""
_TITLE: Final = 12
"""Parts of the expression that a scene is called by."""


class Step(NamedTuple):
    """One rewrite."""

    stage: str
    rule: str | None
    """The rule that fired; None for what a pass did by itself."""
    before: UOp | None
    """The node that matched; of a gradient rule, the node that is differentiated."""
    after: UOp | None
    """What the rule gave."""
    at: int | None
    """The place of that; None where it has left again: what reads it became a node that is there already."""
    change: Change


@dataclass(frozen=True, slots=True)
class Film:
    """A graph and what became of it."""

    start: tuple[Placed, ...]
    """The places at the beginning, operands first."""
    roots: tuple[int, ...]
    """The places of what the graph computes, at the beginning."""
    steps: tuple[Step, ...]

    def after(self, count: int) -> Frame:
        """The picture after the first `count` steps."""
        frame = Frame({p.slot: p.uop for p in self.start}, {p.slot: p.src for p in self.start}, self.roots)
        for step in islice(self.steps, count):
            frame.apply(step.change)
        return frame

    def end(self) -> Frame:
        """The picture after the last step."""
        return self.after(len(self.steps))


@dataclass(slots=True)
class Frame:
    """The picture at one moment, as whoever shows a film has it."""

    node: dict[int, UOp]
    """Who stands at a place."""
    src: dict[int, tuple[int, ...]]
    """The places that a place reads."""
    roots: tuple[int, ...]

    def apply(self, change: Change) -> None:
        """Go on by one change."""
        for placed in change.add:
            self.node[placed.slot], self.src[placed.slot] = placed.uop, placed.src
        self.node.update(change.become)
        self.src.update(change.edges)
        self.roots = self.roots if change.roots is None else change.roots
        for slot in change.drop:
            del self.node[slot], self.src[slot]


class Scene(NamedTuple):
    """One call of the rewriter."""

    title: str
    """What is rewritten."""
    kernel: int | None
    """The one kernel in which the result stands, or the first of those that were lowered alike."""
    times: int
    """How often the rewriter was called for the same."""
    rules: tuple[str, ...]
    """The rules that fired, in order: one a step."""
    trace: Trace
    call: Call

    def film(self) -> Film:
        """What happens in it."""
        trace, call = self.trace, self.call
        picture = Picture(outputs(call.roots), _became(trace, call))
        start, roots = picture.places(), picture.roots
        return Film(start, roots, tuple(_steps(picture, trace, call)))


def scenes(trace: Trace, stage: str, names: Sequence[str] = ()) -> list[Scene]:
    """A scene for each call of the rewriter in a stage in which a rule fired, equal ones once; `names` are those of the kernels."""
    calls: dict[tuple[tuple[UOp, ...], tuple[Event, ...]], list[Call]] = {}
    for call in trace.calls:
        if call.stage == stage and call.events:
            calls.setdefault((call.roots, tuple(trace.events[i] for i in call.events)), []).append(call)
    kernel_of = _kernel_of(trace, stage)
    made = []
    for (_, events), same in calls.items():
        kernel = kernel_of(same[0])
        made.append(Scene(_title(same[0], kernel, names), kernel, len(same), tuple(e.rule for e in events), trace, same[0]))
    return made


def forward(sink: UOp) -> tuple[UOp, ...]:
    """What the forward pass computes: the outputs that are part of it, then what nothing in it reads.

    To it belong the nodes that the user's program built before any gradient, and constants that they share with it.
    """
    found: dict[UOp, None] = {}
    for node in toposort(*sink.src):
        if (node.phase == "forward" or not node.src) and all(s in found for s in node.src):
            found[node] = None
    read = {s for u in found if u.phase == "forward" for s in u.src}
    return tuple(dict.fromkeys([*(u for u in sink.src if u in found), *(u for u in found if u.phase == "forward" and u not in read)]))


def program(sink: UOp, gradients: Iterable[Event] = (), trace: Trace | None = None) -> Film:
    """The program as a whole: its forward pass, then what each gradient rule and the update add, then how it is simplified.

    `gradients` are the events of differentiation, on nodes of the program; `trace` is of its compilation, if it has been compiled.
    """
    call = None if trace is None else next((c for c in trace.calls if c.stage == SIMPLIFIED), None)
    picture = Picture(forward(sink), _became(trace, call))
    start, roots = picture.places(), picture.roots
    steps = list(_grown(picture, sink, gradients))
    if trace is not None and call is not None:
        moves = islice(trace.moves, call.moves.start)
        picture.become(outputs(call.roots), {m.after: m.before for m in moves if m.stage == SIMPLIFIED})
        steps += _by_itself(SIMPLIFIED, picture)
        steps += _steps(picture, trace, call)
    return Film(start, roots, tuple(steps))


def over(events: Iterable[Event], known: Mapping[UOp, UOp]) -> list[Event]:
    """Events of differentiation on the nodes of a program, where `known` says which of them stands for a node as it was built; unused ones are left out."""
    return [e._replace(before=known.get(e.before, e.before), after=known[e.after]) for e in events if e.stage == BACKWARD and e.after in known]


def _grown(picture: Picture, sink: UOp, gradients: Iterable[Event]) -> Iterator[Step]:
    """What gradient rules add to the forward pass, and at the end everything else."""
    there = set(toposort(sink))
    for event in gradients:
        if event.after in there:
            at = picture.add(event.after)
            yield Step(BACKWARD, event.rule, event.before, event.after, at, picture.change())
    picture.become(sink.src, {})
    yield from _by_itself(BACKWARD, picture)


def _by_itself(stage: str, picture: Picture) -> Iterator[Step]:
    """The step of a pass without a rule, if it changed anything."""
    if change := picture.change():
        yield Step(stage, None, None, None, None, change)


def _steps(picture: Picture, trace: Trace, call: Call) -> Iterator[Step]:
    """A step for each rule that fired in a call; the picture holds its roots. Who reads what is new is put on it at the end of the step."""
    fired = {e.before: e for e in (trace.events[i] for i in call.events)}
    moved = {m.before: m.after for m in (trace.moves[i] for i in call.moves)}
    last: tuple[Event, int] | None = None
    for node in _worked_on(outputs(call.roots), _became(trace, call)):
        event = fired.get(node)
        if event is None:
            picture.put(node, moved[node])
            continue
        if last is not None:
            yield _step(*last, picture)
        last = event, picture.put(event.before, event.after)
    if last is not None:
        yield _step(*last, picture)


def _step(event: Event, slot: int, picture: Picture) -> Step:
    return Step(*event, slot if slot in picture.node else None, picture.change())


def _worked_on(goals: Iterable[UOp], became: Mapping[UOp, UOp]) -> Iterator[UOp]:
    """The nodes that something else took the place of, in the order in which `anneal.rewrite.engine` came to them."""
    done: set[UOp] = set()
    waiting: set[UOp] = set()
    stack = list(goals)[::-1]
    while stack:
        node = stack[-1]
        if node not in done and node not in waiting:
            if missing := [s for s in node.src if s not in done]:
                stack += missing[::-1]
                continue
            if (new := became.get(node)) is not None:
                yield node
                waiting.add(node)
                stack.append(new)
                continue
        done.add(node)
        stack.pop()


def _became(trace: Trace | None, call: Call | None) -> dict[UOp, UOp]:
    """What took the place of each node in a call: a rule's result, or the same operation on new operands."""
    if trace is None or call is None:
        return {}
    return {step.before: step.after for steps in ((trace.moves[i] for i in call.moves), (trace.events[i] for i in call.events)) for step in steps}


def outputs(roots: Iterable[UOp]) -> list[UOp]:
    """The roots, and in place of a SINK what it gathers."""
    return [u for root in roots for u in (root.src if root.op is Ops.SINK else (root,))]


def _kernel_of(trace: Trace, stage: str) -> Callable[[Call], int | None]:
    """Which kernel a call of the rewriter in a stage worked for; None where that is not one alone."""
    held: dict[UOp, set[int]] = {}
    for number, graph in enumerate(next((s.graphs for s in trace.snapshots if s.stage == stage), ())):
        for node in toposort(*graph):
            held.setdefault(node, set()).add(number)
    stores = [(i, min(held[m.after])) for i, m in enumerate(trace.moves) if m.stage == stage and m.step == "instruction" and m.before.op is Ops.STORE]
    positions = [i for i, _ in stores]

    def found(call: Call) -> int | None:
        if stage == LOWERED:  # kernels are lowered one after the other, and each ends in its stores
            at = bisect_left(positions, call.moves.stop)
            return stores[at][1] if at < len(stores) else None
        kernels = {k for root in outputs(call.results) for k in held.get(root, ())}
        return kernels.pop() if len(kernels) == 1 else None

    return found


def _title(call: Call, kernel: int | None, names: Sequence[str]) -> str:
    """What a call of the rewriter is about."""
    roots = outputs(call.roots)
    stores = sum(u.op is Ops.STORE for u in roots)
    if not stores:
        parts = [expression(u, most=_TITLE) for u in roots[:2]]
        kind = "gate " if roots[0].dtype is dtypes.bool else ""
        return kind + ", ".join(parts) + (f" and {len(roots) - 2} more" if len(roots) > 2 else "")
    whose = "a kernel" if kernel is None else f"kernel {kernel}" + (f", {names[kernel]}" if kernel < len(names) else "")
    return f"{whose}: {number_of(stores, 'store')}"
