"""`anneal explain`: real traces, documents of the schema, taught mistakes, and nothing that is known anywhere but in the `.upat` files."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from anneal import Tensor, dtypes, rules
from anneal.cli import main as command
from anneal.cli.explain_parse import read
from anneal.cli.explain_values import METHODS
from anneal.export import explain
from anneal.export.explain_trace import scalars
from anneal.export.schema.check import check
from anneal.export.schema.explain import Explanation, Operation, Rule
from anneal.ir.build import variable
from anneal.ir.ops import ALL_OPS, op_by_name
from anneal.ir.uop import UOp
from anneal.view.firing import firing
from anneal.view.instances import statements

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., Any]
Say = Callable[..., str]


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """The text of `anneal explain`, which must succeed."""

    def run(*arguments: str) -> str:
        assert command.main(["explain", *arguments]) == 0
        return capsys.readouterr().out

    return run


def document(say: Say, *arguments: str) -> Any:
    """The document of `anneal explain --json`, checked."""
    found = json.loads(say("--json", *arguments))
    check(found, Explanation)
    return found


# Expressions.


def test_the_rule_that_fires_is_shown_with_its_text_and_both_sides(say: Say) -> None:
    text = say("(x*4+3)//4")
    assert "x: an integer in 0..99, assumed: --let x=0..9 says otherwise" in text
    assert "1 div_parts  x // c => split_div(root) when is_index(x) and c > 0" in text
    assert text.splitlines()[-1] == "x  after 1 step"
    assert text.index("(x*4 + 3) // 4\n     → x") > 0


def test_a_part_on_rewritten_operands_has_a_prime_that_is_explained(say: Say) -> None:
    text = say("gelu")
    assert "%1' is that part on operands that were rewritten" in text.splitlines()[-1]
    assert re.search(r"%\d'", text[: text.index("kernels  ")])
    assert "'" not in say("x**2").replace("'x=float32(8, 3)'", "")


def test_what_a_stage_ensures_holds_after_its_steps(say: Say) -> None:
    lines = say("softmax(x)").splitlines()
    assert "tensor  the program as it is written; shapes and dtypes fit" in lines
    assert any(line.startswith("simplified  afterwards no rule of the tensor groups matches") for line in lines)
    assert any(line.split()[:2] == ["materialised", "div"] for line in lines)


@pytest.mark.parametrize(
    "source", ["(x*4+3)//4", "x*0 + y - y", "max(x, 0) + min(x, 200)", "(x + y)*3 % 3", "where(x < 100, x, y)", "x + 1", "~(x < 3)", "3 + 4", "x << 2 >> 2"]
)
def test_steps_replay_to_what_the_compiler_makes(source: str, say: Say) -> None:
    found = read(source, []).outputs
    assert isinstance(found, UOp)
    trace = document(say, source)["expression"]
    expected = scalars(rules.simplify([found])[0], read(source, []).names)
    assert trace["result"][-1] == expected["source"]
    assert not expected["passes"][0]["steps"]
    steps = trace["passes"][0]["steps"]
    assert len(steps) <= trace["passes"][0]["rewrites"]
    assert (trace["source"] == trace["result"][-1]) == (not steps)
    if steps:
        assert trace["result"][-1] in (steps[-1]["after"], steps[-1]["whole"])


def test_what_a_name_is_can_be_said_and_decides_what_happens(say: Say) -> None:
    assert document(say, "x // 8", "--let", "x=0..7")["expression"]["result"] == ["0"]
    assert document(say, "x // 8", "--let", "x=0..8")["expression"]["result"] == ["x // 8"]
    found = document(say, "x @ w", "--let", "x=float32(5, 7)", "--let", "w=float32(7,2)")["expression"]
    assert [(i["name"], i["shape"], i["assumed"]) for i in found["inputs"]] == [("x", [5, 7], False), ("w", [7, 2], False)]
    assert found["kernels"][0]["body"] == ["out[r0*2 + r1] = sum(x[r0*7 + k0]*w[k0*2 + r1] for k0 in range(7))"]
    assert document(say, "x*1.0 + 0.0", "--let", "x=float32")["expression"]["result"] == ["x"]


def test_tensors_go_through_every_stage_to_wgsl(say: Say) -> None:
    found = document(say, "softmax(x)")["expression"]
    assert [p["stage"] for p in found["passes"]] == ["tensor", "simplified", "kernels", "lowered", "wgsl"]
    assert [s["rule"] for s in found["passes"][1]["steps"]] == ["detach"]
    assert all("detach" in "".join(p["graph"]) for p in found["passes"] if p["stage"] == "tensor")
    assert all("detach" not in "".join(p["graph"]) for p in found["passes"] if p["stage"] == "simplified")
    assert "@compute" in found["kernels"][0]["wgsl"]
    assert all(b["reason"] for k in found["kernels"] for b in k["boundaries"])
    assert "@compute" in say("softmax(x)", "--wgsl")
    assert "@compute" not in say("softmax(x)")


def test_gradients_are_shown_by_the_rule_of_each_op(say: Say) -> None:
    found = document(say, "sum(exp2(x)*y)", "--backward", "--let", "x=float32(3)", "--let", "y=float32(3)")["expression"]
    backward = next(p for p in found["passes"] if p["stage"] == "backward")
    assert [s["rule"] for s in backward["steps"]] == ["grad_reshape", "grad_reduce_axis", "grad_mul", "grad_mul", "grad_exp2"]
    simplified = next(p for p in found["passes"] if p["stage"] == "simplified")["graph"]
    assert simplified == ["%0 = y*exp2(x)", "reshape(sum(%0, axis=0), ())", "gradient of x = %0*LN2", "gradient of y = exp2(x)"]
    square = document(say, "x*x", "--backward")["expression"]
    assert [i["name"] for i in square["inputs"]] == ["x", "g"]
    assert [(s["rule"], s["before"], s["after"], s["times"]) for s in square["passes"][1]["steps"]] == [
        ("grad_mul", "x*x", "%0 = g*x", 2),
        ("accumulate", "x", "%1 = %0 + %0", 1),
    ]


def test_a_long_trace_is_cut_with_a_count_and_shown_whole_if_asked(say: Say) -> None:
    short, long = say("x @ w + b"), say("x @ w + b", "--all")
    counted = [int(n) for n in re.findall(r"(\d+) steps? more \(--all shows them\)|(\d+) steps? \(--all", short) for n in n if n]
    assert sum(counted) > 20
    assert "--all shows them" not in long
    assert long.count(" → ") == short.count(" → ") + sum(counted)
    assert "special:index" in long


# Ops, rules, groups, stages.


def test_an_op_is_told_with_its_rules_its_gradient_and_a_trace(say: Say) -> None:
    text = say("mul")
    for part in ("mul, an op: x * y; and for bool", "mul_zero", "mul_bool", "grad mul(a, b): g*b, g*a", "gradient of a = g*b", "commute", "out[r0] = "):
        assert part in text
    found = document(say, "mul")["op"]
    roles = {c["rule"]["name"]: c["role"] for c in found["concerns"]}
    assert (roles["mul_zero"], roles["div_sum"], roles["double"]) == ("matches", "inside", "builds")
    assert "lt_always" not in roles


def test_an_op_of_kernels_is_shown_where_an_example_has_it(say: Say) -> None:
    assert document(say, "load")["op"]["seen"] == {"name": "the training step of mlp, stage kernels", "doc": "data1[r0]"}
    assert "loop:index" in say("loop")
    assert document(say, "at")["op"]["seen"] is None


@pytest.mark.parametrize("op", ALL_OPS, ids=lambda op: op.name)
def test_every_op_has_a_document(op: Any) -> None:
    found = explain.operation(op.name)
    check(found, Operation)
    assert (found["trace"] is not None) == (
        op.elementwise or op.category in ("movement", "reduce") or op.name in ("gather", "contiguous", "detach", "assign", "iota")
    )
    if found["gradient"] is not None and found["trace"] is not None and "_" not in found["gradient"]["text"].partition(":")[2]:
        fired = [s["rule"] for p in found["trace"]["passes"] if p["stage"] == "backward" for s in p["steps"]]
        assert fired, op.name
        assert f"grad_{op.name}" in fired


def test_the_rules_of_an_op_are_those_that_take_nodes_of_it() -> None:
    for statement in statements()[::5]:
        if (found := firing(statement)) is not None:
            concerns = explain.concerns(found.before.op)
            assert (statement.name, "matches") in [(c["rule"]["name"], c["role"]) for c in concerns]


@pytest.mark.parametrize("name", rules.NAMES)
def test_every_rule_has_a_document_and_says_where_it_stands(name: str) -> None:
    found = explain.rule(name)
    check(found, Rule)
    lines = (ROOT / found["file"]).read_text(encoding="utf-8").splitlines()
    assert lines[found["line"] - 1].startswith(f"grad {name[5:]}(" if name.startswith("grad_") else f"{name}:")


@pytest.mark.parametrize(("name", "step"), [("add_zero", ("x + 0", "x")), ("double", ("x + x", "x*2")), ("detach", ("detach(x)", "x"))])
def test_a_rule_is_shown_where_it_fires(name: str, step: tuple[str, str], say: Say) -> None:
    found = document(say, name if name != "detach" else "rule:detach")["rule"]
    assert [(s["rule"], s["before"], s["after"]) for s in found["trace"]["passes"][0]["steps"]] == [(name, *step)]
    assert found["rule"]["fired"] is None


def test_a_rule_says_what_it_assumes_and_calls(say: Say) -> None:
    text = say("reduce_expand")
    assert "assumes reassociation: a float sum or product may be taken in another order" in text
    assert "calls reduce_repeats: A reduction over repeated elements" in text
    assert "anneal/rules/tensor.upat:" in text


def test_a_rule_about_loads_is_found_in_an_example_and_counted(say: Say) -> None:
    found = document(say, "gate_decided", "--count")["rule"]
    assert found["place"].startswith("the training step of ")
    assert found["rule"]["fired"] > 0


def test_a_rule_that_another_one_forestalls_shows_that(say: Say) -> None:
    found = document(say, "mod_mod")["rule"]
    assert [s["rule"] for s in found["compiled"]["passes"][0]["steps"]] == ["mod_parts"]


def test_a_group_lists_its_rules(say: Say) -> None:
    found = document(say, "minmax")["group"]
    assert [r["name"] for r in found["rules"]] == [r.name for r in rules.RULES if r.group == "minmax"]
    assert found["title"] in say("minmax")


@pytest.mark.parametrize("name", ["tensor", "backward", "simplified", "kernels", "lowered", "wgsl"])
def test_a_stage_says_what_it_guarantees_runs_and_did(name: str, say: Say) -> None:
    found = document(say, f"stage:{name}")["stage"]
    assert found["ensures"]
    assert sum(found["fired"].values()) == found["rewrites"]
    assert (found["nodes_after"] is None) == (name == "wgsl")
    assert {"simplified": "windows", "kernels": "kernel", "lowered": "sums", "backward": "gradient"}.get(name) in [None, *(g["name"] for g in found["groups"])]
    assert found["ensures"] in say(f"stage:{name}")


def test_all_rules_are_listed_with_how_often_they_fired(say: Say) -> None:
    found = {r["name"]: r["fired"] for r in document(say, "--rules")["rules"]}
    assert tuple(found) == rules.NAMES
    assert found["grad_add"] > 0
    assert found["commute"] > 100
    assert found["shl_zero"] == 0
    text = say("--rules")
    assert re.search(r"\n +never  shl_zero +x << 0 => x\n", text)
    assert f"{len(rules.NAMES)} rules, {list(found.values()).count(0)} of which never fired" in text


def test_a_name_of_several_kinds_is_told_as_each_unless_one_is_chosen(say: Say) -> None:
    assert {"op", "group"} <= document(say, "where").keys()
    assert {"op", "rule"} <= document(say, "detach").keys()
    assert "op" not in document(say, "group:where")
    assert {"stage", "group"} <= document(say, "tensor").keys()
    assert "expression" in document(say, "method:max")
    assert "anneal explain 'x.max(axis, keepdim)'" in say("max")


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_of_tensors_is_explained_or_says_what_it_needs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    code = command.main(["explain", f"method:{name}"])
    out, err = capsys.readouterr()
    assert code in (0, 2)
    assert "Traceback" not in err
    assert out if code == 0 else re.search(r"needs more than tensors: write a call of|--let|cast|needs|compare first", err), err


def test_what_python_says_of_numbers_and_conditions_holds(say: Say) -> None:
    assert say("~(5 != 0)").startswith("False\n")
    assert "x + INF" in say("x * 1.0 + 10**40")


def test_names_may_have_any_letters(say: Say) -> None:
    assert say("größe // 4", "--let", "größe=0..3").endswith("0  after 1 step\n")


def test_several_values_are_outputs_of_one_program(say: Say) -> None:
    for source in ("(x + 1, x * 2)", "[x + 1, x * 2]"):
        assert "  x + 1.0\n  x*2.0\n" in say(source)


def test_a_method_may_be_called_by_its_full_name(say: Say) -> None:
    assert "iota(16)" in say("Tensor.arange(16).reshape(4, 4) + x")


# Mistakes.


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["adn"], "did you mean 'add', 'and' or 'any'?"),
        (["add_zer"], "did you mean 'add_zero'"),
        (["sofmax"], "did you mean 'softmax'"),
        (["kernles"], "did you mean 'kernels'"),
        (["op:add_zero"], "no op 'add_zero', but a rule: anneal explain rule:add_zero"),
        (["rule:mul"], "no rule 'mul', but an op: anneal explain op:mul"),
        (["stage:lowerd"], "no stage 'lowerd': did you mean 'lowered'? An expression has an operator or a call"),
        (["qqqqq"], "no op, rule, stage, group of rules or Tensor method 'qqqqq': an expression has an operator or a call"),
        (["sofmax(x)"], "did you mean 'softmax'"),
        ([], "say what to explain"),
        (["--rules", "add"], "say what to explain, or --rules alone"),
        (["x +* y"], "cannot read 'x +* y' at column 4"),
        (["((("], "was never closed"),
        (["x.sum(7)"], "axis 7 does not exist"),
        (["x.reshape(3, 5)"], "cannot reshape 16 elements of shape (4, 4) to (3, 5): needs 15; --let says what an input is"),
        (["x + 1", "--let", "y=0..3"], "'x + 1' has no free name 'y'"),
        (["x + 1", "--let", "x"], "cannot read --let 'x': write --let x=0..99"),
        (["x + 1", "--let", "x=9..0"], "the range is empty"),
        (["x + 1", "--let", "x=flot32"], "did you mean 'float32'"),
        (["softmax(x)", "--let", "x=0..9"], "the expression is one of tensors"),
        (["x < 2", "--backward"], "cannot differentiate bool values"),
        (["x < y < z"], "write (a < b) & (b < c)"),
        (["x and y"], "write &, | and ~"),
        (["9**9**9"], "too large"),
        (["1/0"], "division by zero"),
        (["+" * 3000], "an expression of 3000 characters"),
        (["(" * 300 + "x" + ")" * 300], "nested"),
        (["add", "--let", "x=0..3"], "--let says what the names of an expression are, and add is no expression"),
        (["reshape", "--let", "x=0..3"], "--let says what the names of an expression are"),
        (["method:reshape"], "write a call of x.reshape(*shape)"),
        (["method:arange"], "write a call of Tensor.arange(start"),
        (["-x+1"], "what begins with - and is no option goes after --"),
        (["x[i]"], "--let 'i=int32(4, 4)'"),
        (["(x < 3) * 5"], "5 meets bool: where(condition, 1, 0) makes a condition a number"),
        (["y + -(x < 3)"], "negation is not defined for bool"),
        (["Tensor + 1"], "Tensor is no value"),
        (["ADD"], "did you mean 'add'"),
        (["é"], "no op, rule, stage, group of rules or Tensor method 'é'"),
        (["()"], "nothing that the compiler sees"),
    ],
)
def test_mistakes_are_taught_on_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["explain", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("anneal: error: ")
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "source",
    [
        "__import__('os').system('touch hacked')",
        "open('hacked', 'w')",
        "(lambda: x)()",
        "[x for x in y]",
        "x.__class__.__mro__",
        "x.uop",
        "x.realize()",
        "x.write_bytes(y)",
        "x._make(y)",
        "x.sum(**y)",
        "f'{x}'",
        "x if y else z",
        "(x := 3)",
        "x.sum.__globals__",
        "await x",
        "rand(3) + x",
        "Tensor.numpy(x)",
    ],
)
def test_nothing_but_what_computes_tensors_is_ever_called(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command.main(["explain", source]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_deep_expression_is_no_recursion(say: Say) -> None:
    assert say("+".join(["x"] * 900)).splitlines()[-1].startswith("x*900  after ")


# What a user meets.


def test_the_verb_as_a_process(anneal: Run) -> None:
    done = anneal("explain", "(x*4+3)//4", "--json")
    assert (done.code, done.err) == (0, "")
    check(done.json, Explanation)
    plain = anneal("explain", "fold", "--plain", COLUMNS="20")
    assert "fold(root)" in plain.out
    assert plain.out.isascii()
    assert "\x1b" not in plain.out


def test_words_that_the_shell_has_split_are_one_expression(say: Say) -> None:
    assert say("x", "//", "4") == say("x // 4")


def test_explaining_an_op_imports_nothing_that_runs_or_draws() -> None:
    script = (
        "import sys; from anneal.cli.main import main; code = main(['explain', 'add'])\n"
        "heavy = {'numpy', 'wgpu', 'torch', 'textual', 'rich', 'pygments', 'plotext'}\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & heavy), 'anneal.examples' in sys.modules, code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.stdout.splitlines()[-1] == "[] False 0"


@pytest.fixture(scope="module")
def without_rules(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """The package in a folder of its own, two rules taken out of their files and the rules compiled again; runs `python …` there."""
    folder = tmp_path_factory.mktemp("without")
    shutil.copytree(ROOT / "anneal", folder / "anneal", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for file, rule in (("index", "div_parts"), ("tensor", "permute_permute")):
        path = folder / "anneal" / "rules" / f"{file}.upat"
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith(f"{rule}:")]
        assert len(kept) == len(lines) - 1
        path.write_text("".join(kept), encoding="utf-8")

    def run(*arguments: str) -> str:
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(folder)}
        done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
        return done.stdout + done.stderr

    assert run("-m", "anneal.rewrite.compile") == ""
    return run


def test_a_rule_that_is_gone_is_gone_from_everything_that_is_said(without_rules: Callable[..., str], say: Say) -> None:
    with_it, without = document(say, "(x*4+3)//4")["expression"], without_rules("-m", "anneal", "explain", "(x*4+3)//4")
    assert "div_parts" not in without
    assert without.splitlines()[-1] != say("(x*4+3)//4").splitlines()[-1]
    assert [s["rule"] for s in with_it["passes"][0]["steps"]] == ["div_parts"]
    known = json.loads(without_rules("-m", "anneal", "explain", "op:idiv", "--json"))["op"]["concerns"]
    assert {c["rule"]["name"] for c in known} == {c["rule"]["name"] for c in explain.concerns(op_by_name("idiv"))} - {"div_parts"}
    assert "no op, rule, stage" in without_rules("-m", "anneal", "explain", "div_parts")
    counted = without_rules("-m", "anneal", "explain", "--rules")
    assert f"{len(rules.NAMES) - 2} rules, " in counted
    assert "permute_permute" not in counted


def test_a_rule_that_is_gone_changes_the_graph_and_the_reference(without_rules: Callable[..., str], capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("graph", "mlp", "--backward", "--stage", "simplified", "--plain")
    assert command.main(list(arguments)) == 0
    here = capsys.readouterr().out
    there = without_rules("-m", "anneal", *arguments)
    assert there.count("permute(") > here.count("permute(")
    script = "import sys; sys.path.insert(0, 'tools'); from docs_pages import rule_group, statements; "
    script += "print('\\n'.join(rule_group(group, members) for group, members in statements().items()))"
    told = without_rules("-c", script)
    assert "div_div" in told
    assert "div_parts" not in told


def test_scalars_are_named_and_tensors_are_typed() -> None:
    x = variable("x", 0, 99)
    assert scalars(x + 0, {x: "x"})["inputs"] == [{"name": "x", "dtype": "index", "shape": [], "low": 0, "high": 99, "assumed": False}]
    found = read("x.cast(int32) + 1", ["x=bool(3)"]).outputs
    assert isinstance(found, tuple)
    assert isinstance(found[0], Tensor)
    assert (found[0].dtype, found[0].shape) == (dtypes.int32, (3,))
