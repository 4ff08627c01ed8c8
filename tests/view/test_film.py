"""A film ends in exactly what the compiler went on with, and before every step it shows a whole program that computes the same values."""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import pytest
from schedule_samples import SAMPLES

from anneal import Target, Tensor, nn
from anneal.analysis.bounds import hi, lo
from anneal.examples import EXAMPLES
from anneal.examples.program import Program
from anneal.ir.build import alu, const, index, sink, variable
from anneal.ir.dtype import Scalar, dtypes
from anneal.ir.graph import toposort
from anneal.ir.interp import evaluate, evaluate_expr
from anneal.ir.ops import Ops
from anneal.ir.uop import ARENA, UOp
from anneal.rewrite import session
from anneal.rewrite.table import Table
from anneal.rewrite.trace import Trace
from anneal.rules import SIMPLIFY, TENSOR, table
from anneal.tensor import realize
from anneal.tensor.graph import know
from anneal.view.film import Film, Frame, forward, outputs, over, program, scenes
from anneal.view.film_picture import Picture


class Compiled(NamedTuple):
    """A compilation that was watched from the first gradient on."""

    sink: UOp
    film: Film
    trace: Trace
    built: Trace
    kernels: list[str]


def compiled(build: Callable[[], Sequence[Tensor]]) -> Compiled:
    with session.watching() as built:
        tensors = build()
    traced = realize.trace([t.uop for t in tensors])
    with session.watching() as trace:
        plan = realize.compile_program(traced, Target.portable())
    gradients = over(built.events, know(traced).same)
    return Compiled(traced.sink, program(traced.sink, gradients, trace), trace, built, [k.name for k in plan.kernels])


def step_of(name: str) -> Callable[[], Sequence[Tensor]]:
    return lambda: Program(EXAMPLES[name]).outputs("step")


def loss_and_gradients() -> list[Tensor]:
    """Small enough for the interpreter of tensor graphs, with constants to fold and gradients of gradients."""
    w = Tensor([[0.5, -1.0, 2.0], [1.0, 0.25, -0.5]]).requires_grad_()
    x = Tensor([[1.0, 2.0], [3.0, -4.0]])
    loss = ((x @ w * 1 + 0).relu().exp() / (x.sum() * 2 * 0.5)).softmax(-1).log().sum()
    (gradient,) = loss.gradient(w)
    return [loss, gradient, *(gradient * gradient).sum().gradient(w)]


def in_place() -> list[Tensor]:
    x = Tensor([1.0, 2.0, 3.0]).own()
    y = x.assigned(x * 2)
    return [y.assigned(y * x + 0)]


PROGRAMS = {"loss_and_gradients": loss_and_gradients, "in_place": in_place} | {name: step_of(name) for name in EXAMPLES}
SMALL = ("loss_and_gradients", "in_place", "layernorm", "running_sum")
BUILDERS: dict[str, Callable[[], Sequence[Tensor]]] = {
    **PROGRAMS,
    "running_sum": lambda: [(Tensor([1.0, 2.0, 3.0, 4.0]).cumsum() * 1).flip(0)[1:]],
    "layernorm": lambda: [nn.LayerNorm(3)(Tensor([[1.0, 2.0, 4.0], [0.0, -1.0, 5.0]]) + 0).var() * 1],
    **{name: SAMPLES[name] for name in ("attention", "embedding", "convolution", "two_axes", "swap", "large_sum")},
}


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def shown(request: pytest.FixtureRequest) -> Compiled:
    Tensor.manual_seed(0)
    return compiled(BUILDERS[request.param])


def is_exactly(frame: Frame, roots: Iterable[UOp]) -> None:
    """The picture is the graph of these nodes, each with one place."""
    wanted = outputs(roots)
    place = {node: slot for slot, node in frame.node.items()}
    assert len(place) == len(frame.node)
    assert [frame.node[slot] for slot in frame.roots] == wanted
    assert set(place) == set(toposort(*wanted))
    assert {slot: tuple(place[s] for s in node.src) for slot, node in frame.node.items()} == frame.src


def reached(frame: Frame) -> set[int]:
    """The places below the roots; fails where one of them reads itself in the end."""
    done: set[int] = set()
    open_: set[int] = set()
    stack = list(frame.roots)
    while stack:
        slot = stack[-1]
        missing = [] if slot in done else [s for s in frame.src[slot] if s not in done]
        assert not open_.intersection(missing), "a cycle"
        if missing:
            open_.add(slot)
            stack.append(missing[0])
            continue
        open_.discard(slot)
        done.add(stack.pop())
    return done


def frames(film: Film) -> Iterable[Frame]:
    """Every picture of a film."""
    frame = film.after(0)
    yield frame
    for step in film.steps:
        frame.apply(step.change)
        yield frame


def whole(frame: Frame) -> tuple[UOp, ...]:
    """The program that a picture shows: each place is its node's operation on what stands at the places that it reads."""
    made: dict[int, UOp] = {}
    stack = list(frame.roots)
    while stack:
        slot = stack[-1]
        if missing := [s for s in frame.src[slot] if s not in made]:
            stack += missing
            continue
        stack.pop()
        node = frame.node[slot]
        made[slot] = ARENA.intern(node.op, node.dtype, tuple(made[s] for s in frame.src[slot]), node.arg)
    return tuple(made[slot] for slot in frame.roots)


def test_the_program_film_goes_from_the_forward_pass_over_the_program_to_its_simplest_form(shown: Compiled) -> None:
    film = shown.film
    begun = toposort(*forward(shown.sink))
    assert {p.uop for p in film.start} == set(begun)
    pure = [u for u in toposort(*shown.sink.src) if all(s.phase == "forward" for s in toposort(u))]
    assert set(pure) <= set(begun)
    grown = sum(step.stage == "backward" for step in film.steps)
    assert all(step.stage == "simplified" for step in film.steps[grown:])
    is_exactly(film.after(grown), [shown.sink])
    (call,) = (c for c in shown.trace.calls if c.stage == "simplified")
    is_exactly(film.end(), call.results)
    assert outputs(call.results) == outputs(next(s.graphs[0] for s in shown.trace.snapshots if s.stage == "simplified"))


def test_differentiation_only_adds(shown: Compiled) -> None:
    for step in shown.film.steps:
        if step.stage == "backward":
            assert (step.change.become, step.change.edges, step.change.drop) == ({}, {}, ())
    rules = Counter(step.rule for step in shown.film.steps if step.stage == "backward" and step.rule)
    assert rules <= Counter(e.rule for e in shown.built.events if e.stage == "backward")
    assert bool(rules) == any(u.phase == "backward" and u.src for u in toposort(shown.sink))


def test_the_steps_of_a_stage_are_its_rewrites(shown: Compiled) -> None:
    told = [(s.rule, s.before, s.after) for s in shown.film.steps if s.stage == "simplified" and s.rule is not None]
    assert told == [(e.rule, e.before, e.after) for e in shown.trace.events if e.stage == "simplified"]
    for stage in ("kernels", "lowered"):
        fired: Counter[str] = Counter()
        for scene in scenes(shown.trace, stage, shown.kernels):
            fired.update({rule: times * scene.times for rule, times in Counter(scene.rules).items()})
        assert fired == Counter(shown.trace.fired(stage))
        assert fired.total() == next(s.rewrites for s in shown.trace.snapshots if s.stage == stage)


def test_every_scene_goes_from_what_the_rewriter_was_given_to_what_it_gave(shown: Compiled) -> None:
    for scene in (s for stage in ("kernels", "lowered") for s in scenes(shown.trace, stage, shown.kernels)):
        film = scene.film()
        is_exactly(film.after(0), scene.call.roots)
        is_exactly(film.end(), scene.call.results)
        assert tuple(step.rule for step in film.steps) == scene.rules
        assert scene.kernel is None or 0 <= scene.kernel < len(shown.kernels)
        assert scene.title


def test_before_and_after_are_in_the_picture(shown: Compiled) -> None:
    films = [shown.film, *(s.film() for stage in ("kernels", "lowered") for s in scenes(shown.trace, stage))]
    for film in films:
        frame = film.after(0)
        for step in film.steps:
            assert step.stage == "backward" or step.before is None or step.before in frame.node.values()
            frame.apply(step.change)
            assert step.at is None or step.at in frame.node


def test_every_picture_is_a_graph_that_the_roots_reach(shown: Compiled) -> None:
    pictures = itertools.chain(*(frames(s.film()) for s in scenes(shown.trace, "kernels") if len(s.rules) < 40))
    simplified = sum(step.stage == "backward" for step in shown.film.steps)
    for frame in itertools.chain(itertools.islice(frames(shown.film), simplified, None), pictures):
        assert reached(frame) == set(frame.node)
        assert all(slot in frame.node for src in frame.src.values() for slot in src)


def test_a_change_touches_what_changed_and_nothing_else(shown: Compiled) -> None:
    frame = shown.film.after(0)
    for step in shown.film.steps:
        change = step.change
        assert not {p.slot for p in change.add} & set(frame.node)
        assert all(frame.node[slot] is not node for slot, node in change.become.items())
        assert all(frame.src[slot] != src for slot, src in change.edges.items())
        assert change.roots is None or change.roots != frame.roots
        assert set(change.drop) <= set(frame.node)
        known = set(frame.node)
        for placed in change.add:
            assert set(placed.src) <= known, "operands come first"
            known.add(placed.slot)
        frame.apply(change)


@pytest.mark.parametrize("name", SMALL)
def test_every_picture_computes_the_programs_values(name: str) -> None:
    Tensor.manual_seed(0)
    shown = compiled(BUILDERS[name])
    source = random.Random(name)
    inputs = {u: [u.dtype.round(source.randint(-3, 3) / 2) for _ in range(math.prod(u.arg[1]))] for u in toposort(shown.sink) if u.op is Ops.PARAM}
    grown = sum(step.stage == "backward" for step in shown.film.steps)
    wanted = evaluate([shown.sink], inputs)
    checked = 0
    for frame in itertools.islice(frames(shown.film), grown, None):
        found = evaluate(whole(frame), inputs)
        for got, want in zip(found, wanted, strict=False):  # what a program assigns becomes an output at the end
            assert got == pytest.approx(want, rel=1e-4, abs=1e-5, nan_ok=True)
        checked += 1
    assert checked == len(shown.film.steps) - grown + 1 > 1


def agree(film: Film, roots: Sequence[UOp], source: random.Random) -> None:
    """Every picture of a film of scalars computes the same at random points."""
    leaves = [u for u in toposort(*roots) if u.op in (Ops.RANGE, Ops.VARIABLE)]
    for _ in range(3):
        at: dict[UOp, Scalar] = {u: source.randint(lo(u) or 0, hi(u) or 0) for u in leaves}
        wanted = [evaluate_expr(root, at) for root in roots]
        for frame in frames(film):
            assert [evaluate_expr(root, at) for root in whole(frame)] == wanted


def test_every_picture_of_index_arithmetic_computes_the_same() -> None:
    shown, source = compiled(PROGRAMS["conv"]), random.Random(0)
    plain = [s for s in scenes(shown.trace, "kernels") if all(u.op.elementwise or u.op in (Ops.RANGE, Ops.CONST) for u in toposort(*s.call.roots))]
    for scene in plain:
        agree(scene.film(), scene.call.roots, source)
    assert len(plain) > 20


def drawn(source: random.Random) -> list[UOp]:
    """Random index arithmetic with shared parts, constants and the same part twice."""
    pool: list[UOp] = [variable("x", 0, 9), variable("y", 0, 5), variable("z", 1, 6), index(0), index(1), index(2), index(4)]
    for _ in range(source.randint(4, 30)):
        a, b = source.choice(pool), source.choice(pool[-6:])
        match source.randrange(8):
            case 0 | 1:
                pool.append(a + b)
            case 2 | 3:
                pool.append(b * source.choice((0, 1, 2, 4)))
            case 4:
                pool.append(b // source.choice((1, 2, 4)))
            case 5:
                pool.append(b % source.choice((1, 2, 4)))
            case 6:
                pool.append(alu(Ops.WHERE, alu(Ops.LT, a, b), a, b))
            case _:
                pool.append(b + a * -1)
    return [pool[-1], *source.sample(pool[7:], source.randint(0, min(3, len(pool) - 7)))]


@pytest.mark.parametrize("seed", range(120))
def test_random_arithmetic(seed: int) -> None:
    source, trace = random.Random(seed), Trace()
    roots = drawn(source)
    results = trace.rewrite("kernels", roots, table(*SIMPLIFY)).roots
    for scene in scenes(trace, "kernels"):
        film = scene.film()
        is_exactly(film.end(), results)
        assert all(reached(frame) == set(frame.node) for frame in frames(film))
        agree(film, roots, source)
    assert len(scenes(trace, "kernels")) == bool(trace.events)


@pytest.mark.parametrize("seed", range(40))
def test_random_tensors(seed: int) -> None:
    source = random.Random(seed)

    def build() -> list[Tensor]:
        pool = [Tensor([[source.randint(-3, 3) / 2 for _ in range(3)] for _ in range(2)]).requires_grad_() for _ in range(2)]
        first = list(pool)
        for _ in range(source.randint(3, 10)):
            x, y = source.choice(pool), source.choice(pool)
            makers: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
                lambda x, y: x + y, lambda x, y: x * y, lambda x, _: x * 1, lambda x, _: x + 0, lambda x, _: x.relu(), lambda x, _: x.flip(1).flip(1),
                lambda x, _: x.reshape(3, 2).reshape(2, 3), lambda x, _: x - x.mean(1, keepdim=True), lambda x, y: x @ y.transpose(0, 1) @ x,
                lambda x, _: x * 0.5 * 2, lambda x, y: (x > y).where(x, y), lambda x, _: (x * -1) * -1,
            )  # fmt: skip
            pool.append(source.choice(makers)(x, y))
        loss = pool[-1].sum()
        return [loss, *(g for g in loss.gradient(*first) if g is not None)] if source.random() < 0.6 and _reaches(loss, first) else [loss, pool[-2]]

    shown = compiled(build)
    grown = sum(step.stage == "backward" for step in shown.film.steps)
    inputs = {u: [u.dtype.round(source.randint(-3, 3) / 2) for _ in range(6)] for u in toposort(shown.sink) if u.op is Ops.PARAM}
    wanted = evaluate([shown.sink], inputs)
    for frame in itertools.islice(frames(shown.film), grown, None):
        for got, want in zip(evaluate(whole(frame), inputs), wanted, strict=True):
            assert got == pytest.approx(want, rel=1e-4, abs=1e-4, nan_ok=True)
    is_exactly(shown.film.end(), [next(c for c in shown.trace.calls if c.stage == "simplified").results[0]])


def _reaches(loss: Tensor, inputs: Sequence[Tensor]) -> bool:
    below = set(toposort(loss.uop))
    return all(t.uop in below for t in inputs)


def test_a_trace_knows_every_call(shown: Compiled) -> None:
    trace = shown.trace
    assert [i for call in trace.calls for i in call.events] == [i for i, e in enumerate(trace.events) if e.stage != "backward"]
    for call in trace.calls:
        assert {trace.events[i].stage for i in call.events} <= {call.stage}
        assert {(trace.moves[i].stage, trace.moves[i].step) for i in call.moves} <= {(call.stage, "operands")}
        assert len(call.roots) == len(call.results)


MUL_ONE = Table({Ops.MUL: (lambda u: (0, u.src[0]) if u.src[1] is index(1) else None,)}, ("mul_one",))


def test_two_nodes_that_become_one_share_a_place() -> None:
    x, y, trace = variable("x", 0, 9), variable("y", 0, 9), Trace()
    roots = ((x * 1 + y) * 3, (x + y) * 3 + 7)
    results = trace.rewrite("kernels", roots, MUL_ONE).roots
    assert results[0] is roots[1].src[0]
    film = scenes(trace, "kernels")[0].film()
    place = {node: slot for slot, node in film.after(0).node.items()}
    (step,) = film.steps
    is_exactly(film.end(), results)
    assert (step.before, step.after, step.at) == (x * 1, x, place[x])
    assert step.change.roots == film.end().roots == (place[results[0]], place[roots[1]])
    assert set(step.change.drop) == {place[u] for u in (x * 1, index(1), x * 1 + y, roots[0])}
    assert not step.change.add
    assert not step.change.become


def test_a_node_keeps_its_place_when_its_operands_change() -> None:
    x, y, trace = variable("x", 0, 9), variable("y", 0, 9), Trace()
    root = ((x * 1 + y) // 4 + y) % 8
    (result,) = trace.rewrite("kernels", [root], MUL_ONE).roots
    film = scenes(trace, "kernels")[0].film()
    place = {node: slot for slot, node in film.after(0).node.items()}
    (step,) = film.steps
    assert film.roots == film.end().roots == (place[root],)
    assert step.change.become == {place[x * 1 + y]: x + y, place[(x * 1 + y) // 4]: (x + y) // 4, place[root.src[0]]: (x + y) // 4 + y, place[root]: result}
    assert step.change.edges == {place[x * 1 + y]: (place[x], place[y])}
    assert set(step.change.drop) == {place[x * 1], place[index(1)]}


def test_nothing_to_show_is_no_film() -> None:
    trace = Trace()
    trace.rewrite("kernels", [variable("x", 0, 9)], table(*SIMPLIFY))
    assert len(trace.calls) == 1
    assert scenes(trace, "kernels") == scenes(Trace(), "lowered") == []
    empty = program(sink(), [], Trace())
    assert (empty.start, empty.roots, empty.steps) == ((), (), ())


def test_a_program_that_is_not_compiled_yet_has_a_film() -> None:
    x = Tensor([1.0, 2.0]).requires_grad_()
    with session.watching() as built:
        loss = (x * x).sum()
        outputs_of = [loss, *loss.gradient(x)]
    traced = realize.trace([t.uop for t in outputs_of])
    film = program(traced.sink, over(built.events, know(traced).same))
    is_exactly(film.end(), [traced.sink])
    assert [step.rule for step in film.steps if step.rule] == [e.rule for e in built.events]


def test_long_chains_take_linear_work() -> None:
    """Each of 4,000 nodes is rewritten; what is touched grows with the rewrites, not with their square."""
    x, trace = variable("x", 0, 9), Trace()
    node = x
    for i in range(4000):
        node = alu(Ops.WHERE, alu(Ops.LT, node * 1, index(i)), node, x + 0)
    trace.rewrite("kernels", [node], table(*TENSOR))
    (scene,) = scenes(trace, "kernels")
    film = scene.film()
    is_exactly(film.end(), scene.call.results)
    touched = sum(len(s.change.add) + len(s.change.become) + len(s.change.edges) + len(s.change.drop) for s in film.steps)
    assert len(film.steps) >= 4000
    assert touched <= 12 * len(film.steps)


def test_a_picture_gives_what_was_dropped_as_what_it_has_become() -> None:
    """A node that left the picture comes back in the form that it had taken meanwhile."""
    x, y = variable("x", 0, 9), variable("y", 0, 9)
    old, new = x * 1, x
    picture = Picture([old + y], {old: new})
    picture.put(old, new)
    assert old not in picture
    assert picture.add(old * 3) in picture.node
    assert old not in picture
    assert {p.uop for p in picture.change().add} == {old * 3, index(3)}


def test_constants_that_a_gradient_built_first_belong_to_the_forward_pass() -> None:
    with ARENA.crediting():
        ARENA.phase = "backward"
        two = const(2.5, dtypes.float32)
    x = variable("x", 0, 9)
    value = alu(Ops.ADD, alu(Ops.MUL, ARENA.intern(Ops.CAST, dtypes.float32, (x,)), two), two)
    assert two.phase == "backward"
    assert forward(sink(value)) == (value,)
