"""Nodes as expressions: read back they are the same nodes, Python computes the same values, and nothing is too large to be written."""

from __future__ import annotations

import random

import pytest

from anneal.cli.explain_parse import read
from anneal.ir import build
from anneal.ir.build import alu, const, index, param, variable
from anneal.ir.dtype import dtypes
from anneal.ir.interp import evaluate_expr
from anneal.ir.ops import Op, Ops
from anneal.ir.uop import ARENA, UOp
from anneal.view.expression import CUT, Writer, expression, number, statements
from anneal.view.instances import Draft, operand

X, Y = variable("x", 0, 99), variable("y", 0, 9)
F, G = param(0, (2, 3), dtypes.float32), param(1, (2, 3), dtypes.float32)
NAMES = {F: "f", G: "g"}


def drawn(seed: int) -> tuple[UOp, Draft]:
    """A random expression of index arithmetic, sometimes a comparison of two."""
    draft = Draft(random.Random(seed), 3)
    left = operand(draft, dtypes.index, 3)
    if seed % 3 == 0:
        return left, draft
    return alu(Ops.LT if seed % 3 == 1 else Ops.EQ, left, operand(draft, dtypes.index, 2)), draft


@pytest.mark.parametrize("seed", range(150))
def test_what_is_written_reads_back_as_the_same_node(seed: int) -> None:
    node, draft = drawn(seed)
    lets = [f"{u.arg[0]}={u.arg[1]}..{u.arg[2]}" for u in draft.leaves]
    text = expression(node, most=1000)
    wanted = [let for let in lets if let.split("=")[0] in text]
    found = read(text, wanted).outputs
    assert isinstance(found, UOp)
    assert found is node or (not wanted and evaluate_expr(found, {}) == evaluate_expr(node, {})), text


@pytest.mark.parametrize("seed", range(100))
def test_python_computes_what_is_written(seed: int) -> None:
    node, draft = drawn(seed)
    source = random.Random(seed)
    for _ in range(5):
        values = {u: source.choice(v) for u, v in draft.leaves.items()}
        names = {u.arg[0]: v for u, v in values.items()}
        try:
            expected = eval(expression(node, most=1000), {"max": max}, names)
        except ZeroDivisionError:
            continue  # Python has no value there, and nodes have 0
        assert expected == evaluate_expr(node, values), expression(node)


@pytest.mark.parametrize(
    ("node", "text"),
    [
        ((X * 4 + 3) // 4, "(x*4 + 3) // 4"),
        (X - (Y - 3), "x - (y - 3)"),
        (X + (Y + 1), "x + (y + 1)"),
        (X * (Y * 2), "x*(y*2)"),
        (X * -1, "-x"),
        ((X + 1) * -1, "-(x + 1)"),
        (X * -1 * Y, "-x*y"),
        (X % 4 * 4, "x % 4*4"),
        (alu(Ops.XOR, alu(Ops.EQ, X, Y), const(True, dtypes.bool)), "x != y"),
        (alu(Ops.XOR, alu(Ops.LT, X, Y), const(True, dtypes.bool)), "~(x < y)"),
        (alu(Ops.AND, alu(Ops.LT, X, Y), alu(Ops.EQ, X, Y)), "(x < y) & (x == y)"),
        (alu(Ops.EQ, alu(Ops.LT, X, Y), alu(Ops.LT, Y, X)), "(x < y) == (y < x)"),
        (alu(Ops.WHERE, alu(Ops.LT, X, Y), X, Y), "where(x < y, x, y)"),
        (build.reduce_axis(Ops.MAX, F, (1,)), "max(f, axis=1)"),
        (build.reduce_axis(Ops.ADD, F, (0, 1)), "sum(f, axis=(0, 1))"),
        (build.shrink(F, ((0, 2), (1, 3))), "f[:, 1:3]"),
        (build.pad(F, ((1, 0), (0, 0)), 1.5), "pad(f, ((1, 0), (0, 0)), fill=1.5)"),
        (build.cast(F, dtypes.int32), "cast(f, int32)"),
        (build.gather(F, param(2, (4,), dtypes.int32)), "f[data2]"),
        (build.sink(F, G), "f, g"),
        (ARENA.intern(Ops.LOAD, dtypes.float32, (F, X, alu(Ops.LT, X, Y))), "f[x] if x < y else 0.0"),
        (ARENA.intern(Ops.STORE, dtypes.float32, (F, X, const(1, dtypes.float32))), "f[x] = 1.0"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_reads_as_a_person_would_write_it(node: UOp, text: str) -> None:
    assert expression(node, NAMES) == text


def test_a_reduction_in_a_kernel_says_what_it_runs_over() -> None:
    loop = ARENA.intern(Ops.RANGE, dtypes.index, (index(8),), ("k", 0))
    total = ARENA.intern(Ops.REDUCE, dtypes.float32, (ARENA.intern(Ops.LOAD, dtypes.float32, (F, loop)), loop), Ops.ADD)
    assert expression(total, NAMES) == "sum(f[k0] for k0 in range(8))"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.1, "0.1"),
        (3.0, "3.0"),
        (1e30, "1e+30"),
        (float("inf"), "INF"),
        (float("-inf"), "-INF"),
        (float("nan"), "nan"),
        (0.6931471805599453, "LN2"),
        (-3.1415927, "-PI"),
    ],
)
def test_a_number_is_as_short_as_its_dtype_allows(value: float, text: str) -> None:
    assert number(dtypes.float32.round(value), dtypes.float32) == text


def test_an_expression_is_bounded_and_keeps_what_is_outermost() -> None:
    node = X
    for step in range(20_000):
        node = (node + step) // 3
    text = expression(node)
    assert len(text) < 1000
    assert CUT in text
    assert text.endswith("+ 19999) // 3")


def test_shared_parts_are_written_once() -> None:
    node = X
    for _ in range(300):
        node = node * node + node
    assert len(expression(node)) < 2000
    lines = statements([node])
    assert len(lines) == 300
    assert lines[0] == "%0 = x*x + x"
    assert lines[-1] == "%298*%298 + %298"


def test_every_number_is_defined_before_it_is_read_and_nothing_is_cut() -> None:
    node = X
    for step in range(2_000):
        node = (node + step) // 3 if step % 7 else node * node + Y
    known: set[str] = set()
    for line in statements([node], most=12):
        name, _, text = line.rpartition(" = ") if line.startswith("%") and " = " in line else ("", "", line)
        assert CUT not in line
        assert {f"%{part.split()[0].rstrip('*+)/')}" for part in text.replace("*", " ").replace("(", " ").split("%")[1:] if part[:1].isdigit()} <= known
        known.add(name)


def test_a_writer_keeps_its_numbers() -> None:
    writer = Writer({X: "x"}, most=10)
    total = X * 4 + 1
    assert writer.define(total) == "%0 = x*4 + 1"
    assert writer.define(total) == "%0"
    assert writer.listing([total * total, total // 2]) == ["%0*%0", "%0 // 2"]
    assert writer.spelled(total) == "x*4 + 1"


@pytest.mark.parametrize("op", [op for op in vars(Ops).values() if isinstance(op, Op)], ids=lambda op: op.name)
def test_every_op_can_be_written(op: Op) -> None:
    args = {
        Ops.CONST: 1, Ops.BUFFER: (3, (2,)), Ops.PARAM: (0, (2,)), Ops.VARIABLE: ("n", 1, 2), Ops.IOTA: 4, Ops.RANGE: ("r", 0), Ops.SPECIAL: ("lid.x", 8),
        Ops.LOCAL: ("shared0", 8), Ops.REGISTER: "acc0", Ops.LOOP: "k0", Ops.REDUCE: Ops.ADD, Ops.REDUCE_AXIS: (Ops.ADD, (1,)), Ops.SHRINK: ((0, 1), (0, 3)),
    }  # fmt: skip
    count = {Ops.LOAD: 2, Ops.STORE: 3, Ops.REDUCE: 2, Ops.VSTORE: 3}.get(op, 2 if op.arity < 0 else op.arity)
    loop = ARENA.intern(Ops.RANGE, dtypes.index, (index(8),), ("k", 0))
    src = (F, *([loop] if op is Ops.REDUCE else [G, G])[: count - 1]) if count else ()
    text = expression(ARENA.intern(op, dtypes.int32 if op is Ops.CONST else dtypes.float32, src, args.get(op)), NAMES)
    assert text
    assert CUT not in text
