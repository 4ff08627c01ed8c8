"""The editor's program: what its value may be, how its mistakes are told, and that nothing of it stays."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from typing import Any

import pytest
from asking import Asked

from anneal.ir.uop import ARENA
from anneal.viz.program import MOST
from anneal.viz.tab import Tab

HEAD = "from anneal import Tensor, nn\n"


@pytest.mark.parametrize(
    ("text", "value", "shapes"),
    [
        ("Tensor([1.0, 2.0]) + 1", "a tensor float32(2)", [[2]]),
        ("x = Tensor([[1, 2]])\n[x + 1, x.sum()]", "2 tensors: int32(1, 2), int32", [[1, 2], []]),
        ("x = Tensor([1.0])\n(x, x * 2)", "2 tensors: float32(1), float32(1)", [[1], [1]]),
        ("def f():\n    return Tensor([True])\n\nf()  # a comment", "a tensor bool(1)", [[1]]),
        ("import asyncio\nawait asyncio.sleep(0)\nTensor([3.0])", "a tensor float32(1)", [[1]]),
        ("async def f():\n    return Tensor([3.0])\nawait f()", "a tensor float32(1)", [[1]]),
        ("Tensor([1.0]) if True else None;", "a tensor float32(1)", [[1]]),
    ],
)
def test_the_value_of_the_last_expression_is_shown(asked: Asked, text: str, value: str, shapes: list[list[int]]) -> None:
    opened = asked.open(HEAD + text)
    assert (opened["value"], [o["shape"] for o in opened["outputs"]], opened["note"]) == (value, shapes, None)
    assert asked.ask("compile")["fingerprint"]


@pytest.mark.parametrize(
    ("text", "kind", "line", "column", "message"),
    [
        ("x = 1\ny = (\n", "SyntaxError", 2, 5, "'(' was never closed"),
        ("def f(:\n", "SyntaxError", 1, 7, "invalid syntax"),
        ("  x = 1", "IndentationError", 1, None, "unexpected indent"),
        ("x = 1\n1 / 0\nx", "ZeroDivisionError", 2, 1, "division by zero"),
        ("é = 'ü'; é + nowhere", "NameError", 1, 14, "name 'nowhere' is not defined"),
        ("if True:\n    é = 'ü'; é + nowhere", "NameError", 2, 18, "name 'nowhere' is not defined"),
        ("def f():\n    return [][1]\n\nf()", "IndexError", 2, 12, "list index out of range"),
        ("import sys\nsys.exit(5)", "SystemExit", 2, 1, "the program left by exit(5)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt", 1, None, "the program was interrupted"),
        ("import asyncio\nraise asyncio.CancelledError('x')", "CancelledError", 2, None, "x"),
        ("raise ValueError", "ValueError", 1, None, "ValueError"),
        ("class E(Exception):\n    def __str__(self):\n        return 1\nraise E", "E", 4, None, "<exception str() failed>"),
        ("input()", "EOFError", 1, 1, "EOF when reading a line"),
        ("x = 1", "NoValue", 1, None, "the program ends without a value to show"),
        ("", "NoValue", 1, None, "the program ends without a value to show"),
        ("print('hello')", "NoValue", 1, None, "the program ends without a value to show"),
        ("42", "UsageError", 1, None, "the program ends in int: its last expression is to be an anneal.examples.Example, a Tensor or a list of tensors"),
        ("\n[]", "UsageError", 2, None, "the program ends in list"),
        (f"{HEAD}nn.Linear(2, 3)", "UsageError", 2, None, "Example('name', 'what it is', model=..., data=...) makes one of a network"),
        (f"{HEAD}x = Tensor([1.0, 2.0])\nx.reshape(3)", "ShapeError", 3, 1, "cannot reshape"),
        ("x = '\ud800'", "UnicodeEncodeError", None, None, "surrogates not allowed"),
        ("(" * 300 + ")" * 300, "SyntaxError", 1, None, "too many nested parentheses"),
    ],
)
def test_mistakes_are_told_at_their_place(asked: Asked, text: str, kind: str, line: int | None, column: int | None, message: str) -> None:
    failure = asked.refused("open", source=text)
    assert (failure["kind"], failure["line"]) == (kind, line)
    assert message in failure["message"]
    if column is not None:
        assert failure["column"] == column
    assert "This is a mistake in anneal" not in (failure["hint"] or "")
    assert asked.refused("compile")["message"].startswith("no program is open")


def test_mistakes_that_pythons_tell_differently(asked: Asked) -> None:
    failure = asked.refused("open", source="\0")
    assert failure["kind"] in ("SyntaxError", "ValueError")
    assert "null bytes" in failure["message"]
    failure = asked.refused("open", source="def f():\n    f()\nf()")
    assert (failure["kind"], failure["line"] in (1, 2)) == ("RecursionError", True)
    assert "maximum recursion depth exceeded" in failure["message"]


def test_frames_are_those_of_the_program_alone(asked: Asked) -> None:
    text = "from anneal import Tensor\n\ndef wide(x):\n    return x.expand(5)\n\ndef outer():\n    return wide(Tensor([1.0, 2.0]))\n\nouter()"
    frames = asked.refused("open", source=text)["frames"]
    assert [(f["file"], f["line"], f["name"], f["text"]) for f in frames] == [
        ("program.py", 9, "<module>", "outer()"),
        ("program.py", 7, "outer", "return wide(Tensor([1.0, 2.0]))"),
        ("program.py", 4, "wide", "return x.expand(5)"),
    ]
    assert [(f["column"], f["end_column"]) for f in frames] == [(1, 8), (12, 36), (12, 23)]
    assert len(asked.refused("open", source="def f():\n    f()\nf()")["frames"]) == 20


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("import nowhere_to_be_found", "This tab has Python's standard library and anneal, no nowhere_to_be_found."),
        ("raise ModuleNotFoundError(\"No module named 'numpy'\", name='numpy.linalg')", "no numpy. Tensor has most of what arrays have"),
        ("raise ModuleNotFoundError('', name='torch')", "from anneal import Tensor, nn"),
        ("input()", "Nobody can type here"),
        ("open('nowhere.txt')", "A tab has no files of yours"),
        ("exit()", "Leave the call of exit out"),
        ("def f():\n    f()\nf()", "A function calls itself without an end"),
        ("x = 1", "Let its last line be an expression"),
        ('if __name__ == "__main__":\n    print(1)', "Let its last line be an expression"),
    ],
)
def test_hints_say_what_to_try(asked: Asked, text: str, hint: str) -> None:
    failure = asked.refused("open", source=text)
    assert hint in failure["hint"]
    assert ("does not run here" in failure["message"]) == ("__main__" in text)


def test_what_is_printed_is_kept_up_to_a_limit(asked: Asked) -> None:
    opened = asked.open(f"{HEAD}import sys\nprint('<b>bold</b>')\nprint('warned', file=sys.stderr)\nTensor([1.0])")
    assert opened["printed"] == "<b>bold</b>\nwarned\n"
    failure = asked.refused("open", source="print('before')\n1/0\n")
    assert failure["printed"] == "before\n"
    much = asked.refused("open", source="for i in range(1000):\n    print('x' * 1000)\n1/0")["printed"]
    assert much.startswith("x" * 1000 + "\n")
    assert much.endswith(f"… and {1_001_000 - MOST:,} more characters")
    assert len(much) < MOST + 100
    assert sys.stdout is not None
    print("here")  # noqa: T201 - standard output is the test's again


def test_a_program_without_a_value_shows_what_it_ran_last(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")
    text = "from anneal import Tensor\nw = Tensor.randn(4, 3).own()\nx = Tensor.ones(2, 4).own()\ny = x @ w\nprint(y.shape)\ny.realize()\nz = 1"
    opened = asked.open(text)
    assert opened["value"] == "the last computation that ran, of 1 output"
    assert "the last computation that it ran by itself" in opened["note"]
    assert ([o["shape"] for o in opened["outputs"]], [i["name"] for i in opened["inputs"]]) == ([[2, 3]], ["x", "w"])
    assert "(2, 3)" in opened["printed"]
    rows = asked.ask("graph", stage="tensor")["rows"]
    assert {row[8] for row in rows if row[1] == "mul"} == {4}
    assert asked.ask("compile")["kernels"][0]["inputs"][0]["name"] in ("x", "w")
    assert asked.ask("run")["outputs"][0]["shape"] == [2, 3]


def test_a_training_loop_of_the_users_own_is_compiled_once_a_program(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANNEAL_DEVICE", "reference")
    from anneal.runtime import pipeline

    runs: list[int] = []
    real = pipeline._run

    def counted(*given: Any) -> Any:
        runs.append(1)
        return real(*given)

    monkeypatch.setattr(pipeline, "_run", counted)
    loop = "for _ in range(20):\n    opt.zero_grad()\n    ((x * x).sum()).backward()\n    opt.step()\n"
    opened = asked.open(f"{HEAD}x = Tensor([1.0, 2.0], requires_grad=True)\nopt = nn.optim.SGD([x], 0.1)\n{loop}")
    assert opened["note"] is not None
    assert len(runs) < 10
    assert any(row[6] == 2 for row in asked.ask("graph", stage="backward")["rows"])


def test_parts_are_those_that_there_are(asked: Asked) -> None:
    loss = f"{HEAD}w = Tensor([1.0, 2.0])\n(w * w).sum()"
    opened = asked.open(loss)
    assert (opened["part"], opened["parts"]) == ("forward", ["forward", "backward"])
    opened = asked.open(loss, part="backward")
    assert (opened["part"], [o["shape"] for o in opened["outputs"]]) == ("backward", [[], [2]])
    opened = asked.open(f"{HEAD}Tensor([1.0, 2.0])", part="step")
    assert (opened["part"], opened["parts"]) == ("forward", ["forward"])
    assert "no part “step”" in opened["note"]
    assert "no part 'sideways'" in asked.refused("open", source=loss, part="sideways")["message"]
    opened = asked.open("from anneal.examples import EXAMPLES\nEXAMPLES['mlp']")
    assert (opened["part"], opened["parts"]) == ("step", ["step", "backward", "forward"])


def test_mistakes_in_an_example_are_told_in_the_users_lines(asked: Asked) -> None:
    text = (
        "from anneal import nn\nfrom anneal.examples import Example, digits\n\nclass Net:\n    def __init__(self):\n        self.one = nn.Linear(7, 10)\n\n"
        "    def __call__(self, x):\n        return self.one(x)\n\nExample('net', 'wrong', Net, digits.load)"
    )
    failure = asked.refused("open", source=text)
    assert (failure["kind"], failure["line"], [f["name"] for f in failure["frames"]]) == ("ShapeError", 9, ["__call__"])
    failure = asked.refused("open", source=text.replace("Linear(7", "Linear(64").replace("digits.load", "digits.load, batch=99999"))
    assert (failure["kind"], failure["line"], failure["frames"]) == ("UsageError", 11, [])
    assert "it may be 1 to 1437" in failure["message"]


def test_what_cannot_be_compiled_is_told(asked: Asked) -> None:
    asked.open("from anneal import Tensor\nTensor([1.0]).expand(40_000_000) + 1")
    failure = asked.refused("compile")
    assert failure["kind"] == "CompileError"
    assert "160000000 bytes" in failure["message"]
    assert asked.ask("graph", stage="backward")["graphs"]


def test_opening_twice_gives_the_same(asked: Asked) -> None:
    text = f"import random\n{HEAD}x = Tensor.randn(4, 4)\nx * random.random() + Tensor.rand(4, 4)"
    first = asked.open(text), asked.ask("compile")["fingerprint"], asked.ask("graph", stage="lowered")
    second = asked.open(text), asked.ask("compile")["fingerprint"], asked.ask("graph", stage="lowered")
    assert first[1:] == second[1:]


def test_lines_are_those_of_the_text_that_is_open(asked: Asked) -> None:
    text = f"{HEAD}x = Tensor([1.0, 2.0])\ny = x * 5\ny"
    asked.open(text)
    asked.open("\n\n\n" + text)
    assert {(row[1], row[8]) for row in asked.ask("graph", stage="tensor")["rows"]} == {("param", 5), ("const", 6), ("mul", 6)}
    asked.refused("open", source=f"{HEAD}Tensor([1.0]) * 5\n1/0")
    five = asked.ask("find", stage="tensor", query="op:const")["ids"]
    assert [asked.ask("node", id=i, stage="tensor")["line"] for i in five] == [6]


def test_a_program_that_fails_leaves_the_one_before_as_it_was(asked: Asked) -> None:
    text = "from anneal import Tensor\nx = Tensor([1.0, 2.0])\ny = x * 5\ny"
    asked.open(text, files={"helper.py": "one = 1\n"})
    fingerprint = asked.ask("compile")["fingerprint"]
    [mul] = asked.ask("find", stage="tensor", query="op:mul")["ids"]
    for wrong in (
        "x = (",
        "import nowhere_to_be_found",
        "print(1)",
        "42",
        "import helper\n1/0",
        "from anneal import Tensor\n\n\n(Tensor([1.0]) * 5).reshape(7)",
    ):
        asked.refused("open", source=wrong)
        told = asked.ask("node", id=mul, stage="tensor")
        assert (told["line"], told["source"], told["name"]) == (3, "program.py:3: y = x * 5", "y")
        assert asked.ask("compile")["fingerprint"] == fingerprint
        assert asked.ask("graph", stage="lowered")["graphs"]
    assert asked.refused("open", source="import helper")["kind"] == "ModuleNotFoundError"


def test_answers_do_not_depend_on_what_was_open_before(asked: Asked) -> None:
    from anneal.viz.about import example

    def told(name: str) -> list[Any]:
        asked.open(example(name)["source"])
        return [asked.ask("graph", stage=stage) for stage in ("tensor", "backward", "simplified", "kernels", "lowered")]

    first = [told(name) for name in ("transformer", "mlp", "gradient")]
    assert [told(name) for name in ("transformer", "mlp", "gradient")] == first
    assert [told(name) for name in ("gradient", "mlp", "transformer")] == first[::-1]


def test_memory_of_the_program_before_is_released(asked: Asked) -> None:
    from anneal.viz.about import example

    alive = []
    for _ in range(3):
        asked.open(example("softmax")["source"])
        asked.ask("compile")
        asked.ask("graph", stage="lowered")
        asked.ask("node", id=0, stage="lowered")
        asked.open(f"{HEAD}Tensor([1.0, 2.0])")
        gc.collect()
        alive.append(len(ARENA))
    assert alive[0] == alive[1] == alive[2]
    assert "program" not in sys.modules or sys.modules["program"].__dict__["Tensor"]


def test_a_failed_program_leaves_nothing(asked: Asked) -> None:
    text = f"{HEAD}net = nn.Linear(300, 300)\nx = net(Tensor.rand(5, 300))\nraise ValueError"
    asked.refused("open", source=text)
    gc.collect()
    before = len(ARENA)
    asked.refused("open", source=text)
    gc.collect()
    assert len(ARENA) == before
    assert "program" not in sys.modules


def test_modules_beside_the_program_are_imported_anew_each_time(asked: Asked) -> None:
    text = "import helper\nfrom nets.small import net\nfrom nets import wide\nnet(helper.x) + wide.one"
    files = {
        "helper.py": "from anneal import Tensor\nx = Tensor([1.0, 2.0])\n",
        "nets/small.py": "def net(x):\n    return x * 3\n",
        "nets/wide.py": "one = 1\n",
    }
    assert asked.open(text, files=files)["outputs"][0]["shape"] == [2]
    files["helper.py"] = "from anneal import Tensor\nx = Tensor([1.0, 2.0, 3.0])\n"
    assert asked.open(text, files=files)["outputs"][0]["shape"] == [3]
    failure = asked.refused("open", source=text, files={**files, "nets/small.py": "def net(x):\n    return x.nothing\n"})
    assert (failure["kind"], failure["line"]) == ("AttributeError", 4)
    assert [(f["file"], f["line"]) for f in failure["frames"]] == [("program.py", 4), ("nets/small.py", 2)]
    failure = asked.refused("open", source=text, files={**files, "nets/__init__.py": "syntax error"})
    assert (failure["kind"], failure["line"], failure["frames"][-1]["file"]) == ("SyntaxError", 2, "program.py")
    assert asked.refused("open", source=text)["kind"] == "ModuleNotFoundError"
    assert "an object of texts" in asked.refused("open", source=text, files={"a.py": 3})["message"]


def test_requests_are_answered_in_their_order() -> None:
    async def both() -> list[Any]:
        tab = Tab()
        slow = f"import asyncio\n{HEAD}await asyncio.sleep(0.02)\nTensor([1.0, 2.0]) * 3"
        asked = tab.handle("open", {"source": slow}), tab.handle("compile", {}), tab.handle("graph", {"stage": "lowered"})
        return list(await asyncio.gather(*asked))

    answers = asyncio.run(both())
    assert [answer["ok"] for answer in answers] == [True] * 3


def test_whatever_is_asked_nothing_is_raised(asked: Asked) -> None:
    assert "did you mean 'graph'?" in asked.refused("grahp")["message"]
    strange: list[Any] = [None, 3, [], {"a": 1}]
    for kind in strange:
        assert "no request" in asked.refused(kind)["message"]
    for text in ("", "[]", "3", "{}", "null", '{"kind": 3}', '{"kind": "open", "params": [1]}', "{" * 100_000):
        assert json.loads(asked.runner.run(asked.tab.handle_json(text)))["ok"] is False
    wrong: list[dict[str, Any]] = [{}, {"source": 3}, {"source": None}, {"source": "1", "name": []}, {"source": "1", "files": [1]}]
    for params in wrong:
        assert asked.refused("open", **params)["message"]
    asked.open(f"{HEAD}Tensor([1.0])")
    unknown: list[tuple[str, dict[str, Any]]] = [
        ("graph", {}),
        ("graph", {"stage": "wgsl"}),
        ("graph", {"stage": 3}),
        ("node", {}),
        ("node", {"id": -1, "stage": "tensor"}),
        ("node", {"id": True}),
        ("node", {"id": 1e99}),
        ("follow", {"id": "0", "stage": "tensor"}),
        ("find", {"stage": "tensor"}),
        ("find", {"stage": "tensor", "query": "x" * 5000}),
        ("find", {"stage": "tensor", "query": "op:nothing"}),
        ("find", {"stage": "tensor", "query": "shape:huge"}),
        ("find", {"stage": "tensor", "query": "colour:red"}),
        ("locate", {"stage": "tensor", "path": "²"}),
        ("locate", {"stage": "tensor", "path": "9" * 5000}),
        ("export", {"what": "everything"}),
        ("compile", {"target": "toaster"}),
    ]
    for kind, params in unknown:
        failure = asked.refused(kind, **params)
        assert failure["kind"] == "UsageError", (kind, params, failure)
    assert asked.ask("graph", stage="tensor")


def test_every_request_has_somebody_who_answers(asked: Asked) -> None:
    from anneal.viz import tab

    for kind in tab.TABLE:
        assert callable(tab._handler(kind, {})), kind
    assert tab.TABLE.keys() >= tab.MEANWHILE


def test_an_error_of_the_tab_itself_says_so(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    from anneal.viz import stages

    def broken(*_: Any) -> Any:
        raise KeyError("x")

    monkeypatch.setattr(stages, "graph", broken)
    failure = asked.refused("graph", stage="tensor")
    assert failure["kind"] == "KeyError"
    assert "This is a mistake in anneal" in failure["hint"]
    assert "Traceback" in failure["printed"]
    monkeypatch.setattr(stages, "graph", lambda *_: {"value": float("nan")})
    assert asked.refused("graph")["kind"] == "ValueError"
