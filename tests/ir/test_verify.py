"""Verify: right graphs pass at their stage, and each kind of wrong node is named with what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from anneal.errors import VerifyError
from anneal.ir import build
from anneal.ir.dtype import DType, dtypes
from anneal.ir.ops import ALL_OPS, Op, Ops
from anneal.ir.uop import ARENA, UOp
from anneal.ir.verify import _ALLOWED, _CHECKS, Stage, verify

F, I, B, X = dtypes.float32, dtypes.int32, dtypes.bool, dtypes.index


def _node(op: Op, dtype: DType, *src: UOp, arg: Any = None) -> UOp:
    return ARENA.intern(op, dtype, src, arg)


N = build.variable("n", 1, 10)
T = build.param(0, (2, 3), F)
S = build.param(1, (N, 3), F)
OUT = build.param(2, (2, 3), F)
ONE, TRUE, ZERO = build.const(1, F), build.const(True, B), build.index(0)
FLAGS = build.param(3, (2, 3), B)
R = _node(Ops.RANGE, X, build.index(3), arg=("r", 0))
K = _node(Ops.RANGE, X, build.index(3), arg=("k", 0))
LID = _node(Ops.SPECIAL, X, arg="lid.x")
WID = _node(Ops.SPECIAL, X, arg="wid.x")
LOCAL = _node(Ops.LOCAL, F, arg=("shared", 64))
BARRIER = _node(Ops.BARRIER, B)


def _load(place: UOp, *gate: UOp) -> UOp:
    return _node(Ops.LOAD, F, T, place, *gate)


def _store(place: UOp, value: UOp, *gate: UOp) -> UOp:
    return _node(Ops.STORE, F, OUT, place, value, *gate)


def test_every_op_is_allowed_at_some_stage_and_has_a_check_or_lives_inside_a_pass() -> None:
    checked = {op for allowed in _ALLOWED.values() for op in allowed}
    assert checked == set(_CHECKS)
    assert set(ALL_OPS) - checked == {Ops.AT}
    for stage in _ALLOWED:
        with pytest.raises(VerifyError, match="at cannot stand here, only while a pass is at work"):
            verify([_node(Ops.AT, F, arg=(T, 0))], stage)


def test_right_tensor_graphs_pass() -> None:
    shifted = build.alu(Ops.WHERE, FLAGS, build.alu(Ops.ADD, T, ONE), T)
    moved = build.flip(build.shrink(build.pad(build.permute(shifted, (1, 0)), ((1, 1), (0, 2)), 4), ((0, 4), (1, 3))), (1,))
    windows = build.shear(build.expand(build.reshape(T, (2, 3, 1)), (2, 3, 2)), 1, 2, 1, 1, 2)
    symbolic = build.pad(build.expand(build.reshape(S, (N, 3, 1)), (N, 3, 5)), ((0, N), (0, 0), (1, 1)))
    indices = build.cast(build.iota(3), dtypes.uint32)
    state = build.buffer(4, (1, 3), F)
    written = build.assign(state, build.reduce_axis(Ops.MAX, T, (0,)))
    bits = build.bitcast(build.detach(build.contiguous(T)), I)
    verify(
        build.sink(moved, windows, build.unshear(windows, 1, 2, 1, 1, 3), symbolic, build.gather(build.permute(T, (1, 0)), indices), written, bits), "tensor"
    )


def test_right_kernels_pass() -> None:
    loaded = _load(R * 3 + K, build.alu(Ops.LT, K, N))
    total = _node(Ops.REDUCE, F, loaded, K, arg=Ops.ADD)
    verify(_node(Ops.SINK, B, _store(R, total), _store(R + 3, build.alu(Ops.MUL, total, ONE), TRUE)), "kernel")
    unbound = build.buffer(5, (6,), F)
    verify(_node(Ops.STORE, F, unbound, R, _node(Ops.LOAD, F, unbound, R)), "kernel")
    verify([_store(ZERO, ONE), _store(ZERO, _load(R), build.alu(Ops.EQ, R, ZERO))], "kernel")


def _reduction() -> list[UOp]:
    """A sum in a workgroup: a loop, a barrier and a guarded store."""
    start = LID * 4
    end = start + 4
    register = _node(Ops.REGISTER, F, build.const(0, F), arg="acc")
    loop = _node(Ops.LOOP, X, start, end, build.index(1), arg="i")
    load = _load(loop)
    added = build.alu(Ops.ADD, register, load)
    update = _node(Ops.SET, F, register, added)
    shared = _node(Ops.STORE, F, LOCAL, LID, register)
    first = build.alu(Ops.EQ, LID, ZERO)
    guard = _node(Ops.IF, B, first)
    read = _node(Ops.LOAD, F, LOCAL, ZERO)
    wide = _node(Ops.VLOAD, F, T, ZERO, arg=4)
    lanes = [_node(Ops.LANE, F, wide, arg=i) for i in range(4)]
    vector = _node(Ops.VSTORE, F, OUT, ZERO, *lanes)
    end_loop, end_if = _node(Ops.ENDLOOP, B, loop), _node(Ops.ENDIF, B, guard)
    body = [LOCAL, LID, LID * 4, end, register, loop, load, added, update, end_loop, shared, BARRIER, first, guard]
    return [_node(Ops.COMMENT, B, arg="a sum"), *body, read, _store(ZERO, read), wide, *lanes, vector, end_if, BARRIER]


def test_a_right_program_passes() -> None:
    verify(_reduction(), "program")


WRONG: list[tuple[Stage, UOp, str]] = [
    ("tensor", R, "range cannot stand here, only at the kernel stage"),
    ("kernel", build.reshape(T, (6,)), "reshape cannot stand here, only at the tensor stage"),
    ("program", K, "range cannot stand here"),
    ("tensor", _node(Ops.CONST, I, arg=1.0), "arg is no value of the dtype"),
    ("tensor", _node(Ops.CONST, I, arg=2**31), "arg is no value of the dtype"),
    ("tensor", _node(Ops.CONST, F, arg=1), "arg is no value of the dtype"),
    ("tensor", _node(Ops.CONST, F, arg=0.1), "arg is no value of the dtype"),
    ("tensor", _node(Ops.CONST, dtypes.int8, arg=True), "arg is no value of the dtype"),
    ("tensor", _node(Ops.CONST, F), "arg is no value of the dtype"),
    ("tensor", _node(Ops.BUFFER, dtypes.int64, arg=(0, (2,))), "the dtype cannot be stored"),
    ("tensor", _node(Ops.PARAM, F, arg=(0, (-2,))), "arg must be a number and a shape"),
    ("tensor", _node(Ops.PARAM, F), "cannot unpack"),
    ("tensor", _node(Ops.VARIABLE, X, arg=("n", 5, 4)), "must be an integer with arg (name, low, high)"),
    ("tensor", _node(Ops.IOTA, I, arg=-1), "arg must be a length"),
    ("tensor", _node(Ops.ADD, F, ONE), "add takes 2 operands, not 1"),
    ("tensor", _node(Ops.ADD, F, ONE, TRUE), "add: operands of dtypes float32 and bool; cast them to one dtype"),
    ("tensor", _node(Ops.ADD, I, ONE, ONE), "should be <add:float32 (const, const)>"),
    ("tensor", _node(Ops.LT, F, ONE, ONE), "should be <lt:bool (const, const)>"),
    ("tensor", _node(Ops.ADD, F, ONE, ONE, arg=3), "should be <add:float32 (const, const)>"),
    ("tensor", _node(Ops.ADD, F, T, S), "add: operands of shapes (2, 3) and (n, 3)"),
    ("tensor", _node(Ops.SQRT, I, build.const(1, I)), "sqrt needs floats"),
    ("tensor", _node(Ops.IDIV, F, ONE, ONE), "idiv needs integers"),
    ("tensor", _node(Ops.XOR, F, ONE, ONE), "xor needs integers or bool"),
    ("tensor", _node(Ops.WHERE, F, ONE, ONE, ONE), "where needs a bool condition"),
    ("tensor", _node(Ops.BITCAST, dtypes.float16, ONE), "cannot bitcast"),
    ("tensor", _node(Ops.RESHAPE, F, T, arg=(4, 2)), "cannot reshape 6 elements"),
    ("tensor", _node(Ops.RESHAPE, I, T, arg=(6,)), "should be <reshape:float32"),
    ("tensor", _node(Ops.RESHAPE, I, T, arg=(2, 3)), "should be <param:float32"),
    ("tensor", _node(Ops.RESHAPE, I, S, arg=(3, N)), "the dtype must be that of the operand, float32"),
    ("tensor", _node(Ops.PERMUTE, F, T, arg=(0, 0)), "cannot permute"),
    ("tensor", _node(Ops.EXPAND, F, T, arg=(2, 6)), "cannot expand"),
    ("tensor", _node(Ops.PAD, F, T, ONE, arg=((-1, 0), (0, 0))), "cannot pad"),
    ("tensor", _node(Ops.PAD, F, T, T, arg=((1, 0), (0, 0))), "the fill must be a constant of dtype float32"),
    ("tensor", _node(Ops.PAD, F, T, TRUE, arg=((1, 0), (0, 0))), "the fill must be a constant of dtype float32"),
    ("tensor", _node(Ops.SHRINK, F, T, arg=((0, 3), (0, 3))), "cannot shrink"),
    ("tensor", _node(Ops.FLIP, F, T, arg=(2,)), "cannot flip"),
    ("tensor", _node(Ops.FLIP, F, T, arg=None), "not iterable"),
    ("tensor", _node(Ops.SHEAR, F, T, arg=(0, 0, 1, 1, 2)), "cannot shear"),
    ("tensor", _node(Ops.UNSHEAR, F, T, arg=(0, 1, 0, 1, 2)), "cannot unshear"),
    ("tensor", _node(Ops.REDUCE_AXIS, F, T, arg=(Ops.DIV, (0,))), "cannot reduce with div"),
    ("tensor", _node(Ops.REDUCE_AXIS, F, T, arg=(Ops.ADD, (2,))), "cannot reduce axes (2,)"),
    ("tensor", _node(Ops.GATHER, F, T, ONE), "index tensors must be int32 or uint32"),
    ("tensor", _node(Ops.CONTIGUOUS, I, T), "the dtype must be that of the operand"),
    ("tensor", _node(Ops.ASSIGN, F, build.contiguous(T), T), "cannot assign to a computed tensor"),
    ("kernel", _node(Ops.RANGE, F, ONE, arg=("r", 0)), "the dtype must be index or int32"),
    ("kernel", _node(Ops.RANGE, X, build.const(3, I), arg=("r", 0)), "the dtype must be that of the operand"),
    ("kernel", _node(Ops.LOAD, F, ONE, ZERO), "load needs a param, buffer or local first"),
    ("kernel", _node(Ops.LOAD, F, T, ONE), "the index must be of dtype index or int32"),
    ("kernel", _node(Ops.LOAD, F, T), "takes a buffer, an index and perhaps a bool"),
    ("kernel", _node(Ops.LOAD, F, T, ZERO, ONE), "takes a buffer, an index and perhaps a bool"),
    ("kernel", _node(Ops.LOAD, I, T, ZERO), "the dtype must be that of the operand"),
    ("kernel", build.alu(Ops.ADD, T, T), "add cannot take <param:float32"),
    ("kernel", _store(ZERO, build.const(1, I)), "the value's dtype must be that of the buffer"),
    ("kernel", _store(ZERO, T), "store cannot take <param:float32"),
    ("kernel", _node(Ops.STORE, F, OUT, ZERO), "takes a buffer, an index, a value and perhaps a bool"),
    ("kernel", _node(Ops.REDUCE, F, ONE, arg=Ops.ADD), "takes a value and the ranges to combine it over"),
    ("kernel", _node(Ops.REDUCE, F, ONE, ZERO, arg=Ops.ADD), "takes a value and the ranges to combine it over"),
    ("kernel", _node(Ops.REDUCE, F, ONE, K, K, arg=Ops.ADD), "takes a value and the ranges to combine it over, each once"),
    ("kernel", _node(Ops.REDUCE, F, ONE, K, arg=Ops.XOR), "arg must be add, mul, max or min"),
    ("kernel", _store(ZERO, _load(R)), "the value depends on range ('r', 0), and neither index nor gate does"),
    ("kernel", _node(Ops.SINK, B, ONE), "the operands must be stores"),
    ("program", _node(Ops.SPECIAL, X, arg="gid.x"), "arg must be wid.x to wid.z or lid.x to lid.z"),
    ("program", _node(Ops.LOCAL, F, arg=("shared", -1)), "arg must be (name, elements)"),
    ("program", _node(Ops.REGISTER, F, ONE, arg=3), "arg must be a name"),
    ("program", _node(Ops.REGISTER, I, ONE, arg="acc"), "the dtype must be that of the operand"),
    ("program", _node(Ops.SET, F, ONE, ONE), "only a register can be set"),
    ("program", _node(Ops.SET, F, _node(Ops.REGISTER, F, ONE, arg="acc"), TRUE), "takes 1 or more values, of the dtype"),
    ("program", _node(Ops.LOOP, X, ZERO, build.const(1, I), ZERO, arg="i"), "start, end and step must be integers of its dtype"),
    ("program", _node(Ops.ENDLOOP, B, ONE), "ends a loop"),
    ("program", _node(Ops.IF, B, ONE), "the condition must be bool"),
    ("program", _node(Ops.ENDIF, B, ONE), "ends an if"),
    ("program", _node(Ops.VLOAD, F, T, ZERO, arg=1), "arg must be the number of elements, at least 2"),
    ("program", _node(Ops.LANE, F, _node(Ops.VLOAD, F, T, ZERO, arg=4), arg=4), "arg must be the number of an element of a vload"),
    ("program", _node(Ops.VSTORE, F, OUT, ZERO, ONE), "takes 2 or more values"),
    ("program", _node(Ops.COMMENT, B, arg="two\nlines"), "arg must be one line of text"),
]


@pytest.mark.parametrize(("stage", "node", "complaint"), WRONG, ids=[f"{i}-{u.op.name}" for i, (_, u, _) in enumerate(WRONG)])
def test_wrong_nodes_are_named(stage: Stage, node: UOp, complaint: str) -> None:
    with pytest.raises(VerifyError) as caught:
        verify([node] if stage == "program" else node, stage)
    message = str(caught.value)
    assert message.startswith(f"at the {stage} stage, {node!r}: ")
    assert complaint in message


def _without(*left_out: int) -> list[UOp]:
    return [u for i, u in enumerate(_reduction()) if i not in left_out]


def _in_if(condition: UOp, *body: UOp) -> list[UOp]:
    guard = _node(Ops.IF, B, condition)
    return [condition, guard, *body, _node(Ops.ENDIF, B, guard)]


def _in_loop(end: UOp, *body: UOp) -> list[UOp]:
    loop = _node(Ops.LOOP, X, ZERO, end, build.index(1), arg="i")
    return [end, loop, *body, _node(Ops.ENDLOOP, B, loop)]


_WID_0, _LID_0 = build.alu(Ops.EQ, WID, ZERO), build.alu(Ops.EQ, LID, ZERO)
_LOADED_0 = build.alu(Ops.EQ, _load(ZERO), ONE)


def test_programs_with_wrong_blocks() -> None:
    program = _reduction()
    loop, end_loop = program[6], program[10]
    inner = _node(Ops.IF, B, TRUE)
    wrong = [
        (_without(7), "uses <load:float32 (param, loop)>, which is not computed above"),
        (_without(6), "uses <loop:index (mul, add, const)"),
        (program[:-2], "<if:bool (eq)>: is never ended"),
        ([*program[:10], inner, end_loop], "but the innermost open block is <if:bool (const)>"),
        ([*program[:6], end_loop], "uses <loop"),
        ([*program[:11], end_loop], "which is not computed above in a block that is still open"),
        ([*program[:11], program[7]], "uses <loop:index (mul, add, const) 'i'>, which is not computed above in a block that is still open"),
        ([*program[:7], loop], "is open already"),
    ]
    for instructions, complaint in wrong:
        with pytest.raises(VerifyError) as caught:
            verify(instructions, "program")
        assert complaint in str(caught.value)


def test_barriers_only_where_the_whole_workgroup_passes() -> None:
    verify([WID, *_in_if(_WID_0, BARRIER)], "program")
    verify([WID, *_in_loop(WID + 1, BARRIER)], "program")
    verify([LID, *_in_if(_LID_0, _store(ZERO, ONE)), BARRIER], "program")
    for program in ([LID, *_in_if(_LID_0, BARRIER)], [LID, *_in_loop(LID + 1, BARRIER)], [_load(ZERO), *_in_if(_LOADED_0, BARRIER)]):
        with pytest.raises(VerifyError, match="which invocations of one workgroup may pass differently"):
            verify(program, "program")
    nested = [WID, LID, *_in_if(_LID_0, *_in_loop(WID + 1, BARRIER))]
    with pytest.raises(VerifyError, match="stands inside <if:bool"):
        verify(nested, "program")


def test_a_value_may_be_computed_again_in_another_block() -> None:
    load = _load(ZERO)
    verify([WID, *_in_if(_WID_0, load, _store(ZERO, load)), load, _store(build.index(1), load)], "program")
    with pytest.raises(VerifyError, match="not computed above"):
        verify([WID, *_in_if(_WID_0, load), _store(ZERO, load)], "program")


def test_the_first_wrong_node_is_named_with_its_origin() -> None:
    before = ARENA.origin
    ARENA.origin = ("model.py", 12)
    try:
        wrong = _node(Ops.ADD, F, ONE, build.const(41, I))
    finally:
        ARENA.origin = before
    with pytest.raises(VerifyError, match=r"<add:float32 \(const, const\)> from model.py:12: add: operands of dtypes"):
        verify(_node(Ops.SQRT, I, _node(Ops.EXP2, F, wrong)), "tensor")


def test_long_chains_do_not_recurse() -> None:
    x, y = T, _load(R)
    for _ in range(50_000):
        x, y = build.alu(Ops.ADD, x, ONE), build.alu(Ops.ADD, y, ONE)
    verify(x, "tensor")
    verify(_store(R, y), "kernel")
