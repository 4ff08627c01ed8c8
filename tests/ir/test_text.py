"""Text: what is printed parses into the very same nodes, and bad text gives an error with its line."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anneal.errors import ParseError
from anneal.ir import build
from anneal.ir.dtype import ALL, DType, dtypes
from anneal.ir.ops import ALL_OPS, Op, Ops
from anneal.ir.text import parse_graph, parse_program, print_graph, print_program
from anneal.ir.uop import ARENA, UOp

N = build.variable("n", 1, 10)
X = build.param(0, (N, 3), dtypes.float32)


def _node(op: Op, dtype: DType, *src: UOp, arg: Any = None) -> UOp:
    return ARENA.intern(op, dtype, src, arg)


def test_graph_golden() -> None:
    padded = build.pad(build.alu(Ops.ADD, X, build.const(math.nan, dtypes.float32)), ((0, N + 1), (1, 1)), -math.inf)
    assert print_graph(padded, N) == "\n".join(
        [
            '%0 = variable:index [("n", 1, 10)]',
            "%1 = const:index [1]",
            "%2 = add:index %0, %1",
            "%3 = param:float32 [(0, (%0, 3))]",
            "%4 = const:float32 [nan]",
            "%5 = add:float32 %3, %4",
            "%6 = const:float32 [-inf]",
            "%7 = pad:float32 %5, %6 [((0, %2), (1, 1))]",
            "return %7, %0",
        ]
    )
    assert parse_graph(print_graph(padded, N)) == [padded, N]


def _program() -> list[UOp]:
    loop = _node(Ops.LOOP, dtypes.index, build.index(0), N, build.index(1), arg="r0")
    load = _node(Ops.LOAD, dtypes.float32, X, loop * 2)
    barrier = _node(Ops.BARRIER, dtypes.bool)
    guard = build.alu(Ops.LT, loop, build.index(5))
    inside = _node(Ops.IF, dtypes.bool, guard)
    comment = _node(Ops.COMMENT, dtypes.bool, arg='say "hi" \\ 100%')
    return [
        comment,
        loop,
        loop * 2,
        load,
        barrier,
        load,
        guard,
        inside,
        load,
        _node(Ops.ENDIF, dtypes.bool, inside),
        _node(Ops.ENDLOOP, dtypes.bool, loop),
        barrier,
    ]


def test_program_golden() -> None:
    program = _program()
    text = print_program(program)
    assert text == "\n".join(
        [
            "let %0 = const:index [0]",
            'let %1 = variable:index [("n", 1, 10)]',
            "let %2 = const:index [1]",
            "let %3 = const:index [2]",
            "let %4 = param:float32 [(0, (%1, 3))]",
            "let %5 = const:index [5]",
            '%6 = comment:bool ["say \\"hi\\" \\\\ 100%"]',
            '%7 = loop:index %0, %1, %2 ["r0"]',
            "  %8 = mul:index %7, %3",
            "  %9 = load:float32 %4, %8",
            "  %10 = barrier:bool",
            "  %11 = load:float32 %4, %8",
            "  %12 = lt:bool %7, %5",
            "  %13 = if:bool %12",
            "    %14 = load:float32 %4, %8",
            "  %15 = endif:bool %13",
            "%16 = endloop:bool %7",
            "%17 = barrier:bool",
        ]
    )
    assert parse_program(text) == program


def test_a_program_whose_operands_are_not_listed_or_listed_later() -> None:
    program = _program()
    late = [program[3], program[2], program[1], program[1] * 7 + 1]
    assert parse_program(print_program(late)) == late


_ARGS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.just(math.nan) | st.text(st.characters()) | st.sampled_from([*ALL_OPS, N, X]),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=8,
)


@st.composite
def _graphs(draw: Any) -> list[UOp]:
    """Nodes of any op and arg: text must carry what the other stages may not accept."""
    nodes = [N, X, build.const(draw(st.floats(width=32)), dtypes.float32)]
    for _ in range(draw(st.integers(1, 12))):
        op = draw(st.sampled_from(ALL_OPS))
        count = op.arity if op.arity >= 0 else draw(st.integers(0, 4))
        src = [draw(st.sampled_from(nodes)) for _ in range(count)]
        nodes.append(_node(op, draw(st.sampled_from(ALL)), *src, arg=draw(_ARGS)))
    return nodes


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(_graphs(), st.data())
def test_graphs_round_trip(nodes: list[UOp], data: st.DataObject) -> None:
    roots = data.draw(st.lists(st.sampled_from(nodes), max_size=4))
    text = print_graph(*roots)
    again = parse_graph(text)
    assert len(again) == len(roots)
    assert all(a is b for a, b in zip(again, roots, strict=True))
    assert print_graph(*again) == text
    assert text.isascii()


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(_graphs(), st.data())
def test_programs_round_trip(nodes: list[UOp], data: st.DataObject) -> None:
    program = data.draw(st.lists(st.sampled_from(nodes), max_size=20))
    again = parse_program(print_program(program))
    assert len(again) == len(program)
    assert all(a is b for a, b in zip(again, program, strict=True))


def test_numbers_round_trip_exactly() -> None:
    for value in (0.0, -0.0, 1e-45, 3.4028234663852886e38, 1e16, math.inf, -math.inf, math.nan, 0.1):
        node = _node(Ops.CONST, dtypes.float64, arg=value)
        assert parse_graph(print_graph(node))[0] is node
    for number in (0, -1, 2**63, -(10**1000)):
        assert parse_graph(print_graph(build.index(number)))[0] is build.index(number)
    assert parse_graph(print_graph(build.const(True, dtypes.bool)))[0].arg is True


def test_comments_blank_lines_and_spacing_are_free() -> None:
    text = "\n# a graph\n\n   %7=const : index[ -3 ]  \n%9 = add:index %7 ,%7\n return %9 \n"
    assert parse_graph(text) == [build.index(-3) + build.index(-3)]
    assert parse_program("") == []
    assert parse_graph("return") == []


BAD = [
    ("", "line 1: expected a last line such as 'return %0', found the end of the text"),
    ("%0 = const:index [1]", "line 2: expected a last line such as 'return %0', found the end of the text"),
    ("hello", "line 1: expected a number such as %1, found 'hello'"),
    ("\n\n% = const:index [1]", "line 3: expected a number such as %1, found '%'"),
    ("%0 const:index [1]", "line 1: expected '=', found 'const'"),
    ("%0 = constant:index [1]", "line 1: expected an operation such as add, found 'constant'"),
    ("%0 = const index [1]", "line 1: expected ':', found 'index'"),
    ("%0 = const:int33 [1]", "line 1: expected a dtype such as float32, found 'int33'"),
    ("%0 = const:index [1", "line 1: expected ']', found the end of the line"),
    ("%0 = const:index [1] 2", "line 1: expected the end of the line, found '2'"),
    ("%0 = const:index [(1)]", "line 1: expected ',', found ')'"),
    ("%0 = const:index [(1, 2 3)]", "line 1: expected ',', found '3'"),
    ("%0 = const:index []", "line 1: expected a value"),
    ("%0 = const:index [open]", "line 1: expected a value"),
    ("%0 = const:index [__import__('os')]", "line 1: expected a value"),
    ('%0 = const:index ["a]', "line 1: expected a value"),
    (r'%0 = const:index ["\q"]', "line 1: expected a value"),
    ("%0 = const:index [" + "9" * 5000 + "]", "line 1: expected a value"),
    ("%0 = const:index [" + "(" * 100_000, "line 1: expected at most 32 nested tuples, found '('"),
    ("%0 = const:index [1]\n%0 = const:index [2]", "line 2: expected a new number, as %0 is defined above"),
    ("%0 = const:index [1]\n%1 = add:index %0, %2", "line 2: expected a number defined above; %2 is not, found '%2'"),
    ("%0 = const:index [1]\n%1 = add:index %1, %0", "line 2: expected a number defined above; %1 is not"),
    ("%0 = const:index [1]\n%1 = add:index %0", "line 2: expected 2 operands of add, not 1, found the end of the line"),
    ("%0 = const:index [1]\n%1 = add:index %0,", "line 2: expected a number such as %1, found the end of the line"),
    ("%0 = const:index [1]\nreturn %1", "line 2: expected a number defined above; %1 is not"),
    ("%0 = const:index [1]\nreturn %0 %0", "line 2: expected the end of the line, found '%0'"),
    ("return\nreturn", "line 2: expected nothing after the line of roots, found 'return'"),
    ("%99999999999 = const:index [1]", "line 1: expected a number such as %1"),
    ("%0 = const:index [\0]", "line 1: expected a value"),
]


@pytest.mark.parametrize(("text", "message"), BAD, ids=range(len(BAD)))
def test_bad_text_teaches(text: str, message: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_graph(text)
    assert str(caught.value).startswith(message)


@given(
    st.text()
    | st.lists(st.sampled_from(["%0", "%1", "=", "add", "const", ":", "index", "[", "]", "(", ")", ",", "1", "return", "let", "\n", '"', " "])).map(" ".join)
)
def test_any_text_parses_or_gives_a_parse_error(text: str) -> None:
    for parse in (parse_graph, parse_program):
        try:
            nodes = parse(text)
        except ParseError as error:
            assert str(error).startswith("line ")
        else:
            assert all(isinstance(u, UOp) for u in nodes)


def test_an_arg_that_is_no_value_cannot_be_printed() -> None:
    with pytest.raises(TypeError, match="a node's arg cannot hold DType"):
        print_graph(_node(Ops.COMMENT, dtypes.bool, arg=dtypes.int32))


def test_long_chains_do_not_recurse() -> None:
    x = build.param(0, (), dtypes.int32)
    for i in range(50_000):
        x = build.alu(Ops.ADD, x, build.const(i % 7, dtypes.int32))
    assert parse_graph(print_graph(x))[0] is x
