"""Each line of WGSL knows which instructions it says: the text is the same, nothing is left out, and what a line is said to say is in it."""

from __future__ import annotations

from functools import cache

import pytest

import anneal
from anneal.codegen.wgsl import Line, joined, render, written
from anneal.examples import EXAMPLES
from anneal.examples.program import Program as Model
from anneal.export.schema.graph import Part
from anneal.ir.ops import Ops
from anneal.ir.uop import UOp
from anneal.runtime import pipeline
from anneal.tensor import realize

CASES: list[tuple[str, Part]] = [("mlp", "forward"), ("mlp", "step"), ("conv", "forward"), ("conv", "step")]
WORDS = {Ops.BARRIER: ("workgroupBarrier",), Ops.EXP2: ("exp2",), Ops.WHERE: ("select(",), Ops.SPECIAL: ("i32(",)}


@cache
def compiled(name: str, part: Part) -> pipeline.Compilation:
    traced = realize.trace([t.uop for t in Model(EXAMPLES[name]).outputs(part)])
    return pipeline.compile_until(traced.sink, anneal.Target.portable(), "wgsl")


def said(lines: list[Line]) -> set[UOp]:
    return {u for line in lines for u in line.uops}


@pytest.mark.parametrize(("name", "part"), CASES)
def test_the_lines_are_the_text(name: str, part: Part) -> None:
    work = compiled(name, part)
    assert work.plan is not None
    for program, kernel, said_by in zip(work.programs, work.plan.kernels, work.lines, strict=True):
        lines = written(program)
        assert joined(lines) == render(program) == kernel.wgsl
        assert [line.text for line in lines] == kernel.wgsl.split("\n")[:-1]
        assert tuple(line.uops for line in lines) == said_by


@pytest.mark.parametrize(("name", "part"), CASES)
def test_every_instruction_that_does_something_is_on_a_line(name: str, part: Part) -> None:
    for program in compiled(name, part).programs:
        lines = written(program)
        read = {s for u in program.instructions for s in u.src}
        needed = {u for u in program.instructions if u in read or not u.op.elementwise}
        assert len(needed) > 5
        assert needed <= said(lines)
        assert {u for u in said(lines) if u.op is not Ops.PARAM} <= set(program.instructions)


@pytest.mark.parametrize(("name", "part"), CASES)
def test_a_line_holds_what_it_says(name: str, part: Part) -> None:
    for program in compiled(name, part).programs:
        for line in written(program):
            for u in line.uops:
                assert all(word in line.text for word in words_of(u)), (line.text, u.op.name)


def words_of(u: UOp) -> tuple[str, ...]:
    """Words and signs without which an instruction cannot be written."""
    match u.op:
        case Ops.PARAM:
            return (f"data{u.arg[0]}",)
        case Ops.LOOP:
            return f"for (var {u.arg} = ", "{"
        case Ops.REGISTER:
            return (f"var {u.arg}: ",)
        case Ops.LOCAL:
            return (u.arg[0],)
        case Ops.STORE | Ops.VSTORE:
            return f"data{u.src[0].arg[0]}[" if u.src[0].op is Ops.PARAM else f"{u.src[0].arg[0]}[", "] = "
        case Ops.SET:
            return (f"{u.src[0].arg} = ",)
        case Ops.IF:
            return ("if (",)
        case Ops.ENDLOOP | Ops.ENDIF:
            return ("}",)
        case Ops.COMMENT:
            return ("// ",)
        case _:
            return WORDS.get(u.op, ())


def test_helper_functions_belong_to_no_instruction() -> None:
    kernels = [written(program) for program in compiled("mlp", "step").programs]
    for lines in kernels:
        main = next(i for i, line in enumerate(lines) if line.text.startswith("fn main"))
        assert not [line.text for line in lines[:main] if line.uops and not line.text.startswith(("@group", "var<workgroup>"))]
        assert [line.text for line in lines[main + 1 :] if not line.uops] == ["}"]
    assert any(line.text.startswith("fn max_f32") for lines in kernels for line in lines)


def test_a_value_written_in_place_belongs_to_its_readers_line() -> None:
    x = anneal.Tensor([1.0, 2.0, 3.0])
    work = pipeline.compile_until(realize.trace([((x + 1) * 2).uop]).sink, anneal.Target.portable(), "lowered")
    [line] = [line for line in written(work.programs[0]) if any(u.op is Ops.STORE for u in line.uops)]
    assert line.text == "  data0[r0] = (data1[r0] + 1.0) * 2.0;"
    assert [u.op.name for u in line.uops if u.dtype.is_float and u.op is not Ops.PARAM] == ["store", "mul", "add", "load"]
