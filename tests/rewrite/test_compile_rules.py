"""The compiler of rules: fresh output, deterministic text, and match functions that do what the pattern says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from anneal.errors import RuleError
from anneal.ir.build import alu, cast, const, index, param, variable
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Ops
from anneal.ir.uop import ARENA, UOp
from anneal.rewrite.compile import FOLDER, OUTPUT, generate, handler_names, load, main, match_function, read_folder
from anneal.rules import GRADIENT, GROUPS, RULES

ROOT = Path(__file__).parents[2]
X, Y, Z = (variable(name, 0, 9) for name in "xyz")
F = param(0, (), dtypes.float32)


def first(text: str, node: UOp) -> UOp | None:
    """What the rules of one group make of a node."""
    match = match_function('group g "G"\n' + text, node.op.name)(node)
    return None if match is None else match[1]


def test_the_compiled_module_is_fresh() -> None:
    assert generate(read_folder(FOLDER), handler_names(FOLDER)) == (FOLDER / OUTPUT).read_text(encoding="utf-8"), "run python -m anneal.rewrite.compile"
    assert main(["--check"]) == 0


def test_the_text_does_not_depend_on_the_hash_seed() -> None:
    code = "from anneal.rewrite.compile import *; print(generate(read_folder(FOLDER), handler_names(FOLDER)), end='')"
    for seed in "12":
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        run = subprocess.run([sys.executable, "-X", "utf8", "-c", code], env=environment, capture_output=True, encoding="utf-8", check=True)
        assert run.stdout == (FOLDER / OUTPUT).read_text(encoding="utf-8")


def test_a_stale_module_is_told_and_rewritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.upat").write_text('group a "A"\nadd_zero: x + 0 => x\n')
    assert main(["--check"], tmp_path) == 1
    assert "stale" in capsys.readouterr().err
    assert main([], tmp_path) == 0
    assert main(["--check"], tmp_path) == 0
    assert "generated" in (tmp_path / OUTPUT).read_text().splitlines()[0].lower()
    (tmp_path / "a.upat").write_text('group a "A"\nadd_zero: x + 0 => y\n')
    assert main([], tmp_path) == 1
    assert capsys.readouterr().err == "a.upat:2: y is not bound by the pattern: it has x\n"
    assert main(["--chek"], tmp_path) == 2


def test_names_are_unique_across_files(tmp_path: Path) -> None:
    (tmp_path / "a.upat").write_text('group a "A"\nadd_zero: x + 0 => x\n')
    (tmp_path / "b.upat").write_text('group b "B"\n\nadd_zero: x + 0 => x\n')
    with pytest.raises(RuleError, match=r"b\.upat:3: rule add_zero is already at a\.upat:2"):
        read_folder(tmp_path)
    (tmp_path / "b.upat").write_text('group a "B"\n\nmul_one: x * 1 => x\n')
    with pytest.raises(RuleError, match="group a is in two files"):
        read_folder(tmp_path)


def test_commutative_ops_match_both_ways_at_every_level() -> None:
    text = "r: (x*c1 + y) * z => y"
    for inner in (X * 4 + Y, Y + X * 4, index(4) * X + Y, Y + index(4) * X):
        assert first(text, inner * Z) is Y
        assert first(text, Z * inner) is Y


def test_a_repeated_name_is_the_same_node() -> None:
    assert first("r: x // x => 1", X // X) is index(1)
    assert first("r: x // x => 1", X // Y) is None


def test_numbers_match_by_value_and_truth_by_type() -> None:
    zero, minus_zero = const(0.0, dtypes.float32), const(-0.0, dtypes.float32)
    assert first("r: x + 0 => x", alu(Ops.ADD, F, zero)) is F
    assert first("r: x + 0 => x", alu(Ops.ADD, F, minus_zero)) is F
    assert first("r: x ^ True => x", X_ONE) is None
    assert first("r: x + 0.5 => x", alu(Ops.ADD, F, const(0.5, dtypes.float32))) is F


X_ONE = ARENA.intern(Ops.XOR, dtypes.int32, (param(1, (), dtypes.int32), const(1, dtypes.int32)))


def test_dtypes_constrain() -> None:
    wide = cast(X, dtypes.float32)
    assert first("r: cast(x@index)@f32 => x", wide) is not None
    assert first("r: cast(x@f32)@f32 => x", wide) is None
    assert first("r: sqrt(x@float) => x", alu(Ops.SQRT, F)) is F
    assert first("r: sqrt(x@f16) => x", alu(Ops.SQRT, F)) is None


def test_arithmetic_of_constants_is_done_when_the_rule_fires() -> None:
    assert first("r: (x + c1) + c2 => x * (c1*c2 - 1)", (X + 3) + 5) is X * 14
    node = alu(Ops.ADD, alu(Ops.ADD, param(2, (), dtypes.int32), const(2**31 - 1, dtypes.int32)), const(1, dtypes.int32))
    result = first("r: (x + c1) + c2 => x + (c1 + c2)", node)
    assert result is not None
    assert result.src[1].arg == -(2**31)


def test_dtypes_of_what_is_built() -> None:
    result = first("r: sqrt(x) => where(x < 0, 0, x*x)", alu(Ops.SQRT, F))
    assert result is not None
    assert [s.dtype for s in result.src] == [dtypes.bool, dtypes.float32, dtypes.float32]
    assert result.src[1].arg == 0.0
    assert isinstance(result.src[1].arg, float)
    with pytest.raises(RuleError, match=r"text\.upat:2: cannot tell the dtype of a number in r"):
        load('group g "G"\nr: sqrt(x) => where(unknown(x) < 2, x, x)', {"unknown": lambda x: x})


def test_an_unknown_bound_makes_a_guard_false() -> None:
    unknown = ARENA.intern(Ops.SPECIAL, dtypes.index, (), "wid.x")
    text = "r: x + y => x when hi(x) < 100"
    assert first(text, X + Y) is X
    assert first(text, unknown + unknown) is None


def test_a_result_that_is_the_node_itself_is_no_match() -> None:
    assert first("r: x // y => x // y", X // Y) is None
    assert first("r: x + y => y + x", X + X) is None


def test_handlers_may_refuse() -> None:
    names = load('group g "G"\nr: x + y => refuse(root) when accept(x)', {"refuse": lambda root: None, "accept": lambda x: x is X})
    assert names["GROUPS"]["g"][Ops.ADD](X + Y) is None


def test_rest_operands_and_parts_with_names() -> None:
    loop = ARENA.intern(Ops.RANGE, dtypes.index, (index(4),), ("r", "reduce"))
    reduction = ARENA.intern(Ops.REDUCE, dtypes.index, (X, loop), Ops.ADD)
    assert first("r: reduce(x, ...) => x", reduction) is X
    assert first("r: max((m := x + y), z) => m", alu(Ops.MAX, Z, X + Y)) is X + Y


def test_gradients_are_functions_of_node_and_gradient() -> None:
    names = load('group g "G"\ngrad mul(a, b): g*b, g*a\ngrad cast(a): cast(g)\ngrad lt(a, b): _, _')
    g = param(5, (), dtypes.float32)
    y = alu(Ops.MUL, F, g)
    assert names["GRADIENT"][Ops.MUL](y, g) == (alu(Ops.MUL, g, g), alu(Ops.MUL, g, F))
    assert names["GRADIENT"][Ops.CAST](cast(F, dtypes.float16), cast(g, dtypes.float16)) == (cast(cast(g, dtypes.float16), dtypes.float32),)
    assert names["GRADIENT"][Ops.LT](alu(Ops.LT, F, g), g) == (None, None)
    assert names["GRADIENT_NAMES"][Ops.MUL] == "grad_mul"


def test_the_table_of_rules_is_what_the_files_say() -> None:
    assert len({r.name for r in RULES}) == len(RULES)
    found = next(r for r in RULES if r.name == "mul_zero")
    assert (found.group, found.text, found.file) == ("algebra", "x * 0 => 0 when is_int(x)", "algebra.upat")
    assert found.doc == "a float could be nan, infinite or negative"
    lines = (FOLDER / found.file).read_text().splitlines()
    assert lines[found.line - 1].startswith("mul_zero:")
    assert {"folding", "algebra", "tensor", "after_autodiff"} <= set(GROUPS)
    assert Ops.MUL in GRADIENT
