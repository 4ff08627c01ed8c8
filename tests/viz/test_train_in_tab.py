"""Training as the tab does it, on this machine's devices: what is told, what may change meanwhile, what is refused, what is said of digits."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import anneal
from anneal import Plan, Target, Tensor, nn
from anneal.errors import AnnealError, NoDeviceError, UsageError
from anneal.examples import EXAMPLES, Data, Example, digits
from anneal.examples import train as train_natively
from anneal.examples.program import Program
from anneal.tensor import realize
from anneal.viz import training
from anneal.viz.about import example
from anneal.viz.state import State
from anneal.viz.tab import Tab

DEVICES = ("webgpu", "reference")


class Page:
    """A state whose events are kept, and what the test does when one comes."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.react: Callable[[dict[str, Any]], object] = lambda _: None
        self.state = State(self._hear)

    def _hear(self, name: str, data: dict[str, Any]) -> None:
        assert name == "train"
        self.events.append(json.loads(json.dumps(data, allow_nan=False)))
        self.react(data)

    def train(self, **params: object) -> Any:
        return asyncio.run(training.train(self.state, {"model": "mlp", **params}))

    def change(self, **params: object) -> Any:
        return training.change(self.state, params)

    def predict(self, **params: object) -> Any:
        return asyncio.run(training.predict(self.state, params))

    @property
    def losses(self) -> list[float]:
        """The losses of the last training, as a page joins them."""
        start = max(at for at, event in enumerate(self.events) if event["state"] == "compiling")
        return [loss for event in self.events[start:] for loss in event["losses"]]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ANNEAL_DEVICE", request.param)
    return str(request.param)


@pytest.fixture
def page() -> Page:
    return Page()


def test_it_learns_and_tells_what_the_command_line_would(device: str, page: Page) -> None:
    run = train_natively("mlp", steps=30, device=device)
    done = page.train(steps=30)
    assert (done["state"], done["model"], done["done"], done["target"]) == ("done", "mlp", 30, 30)
    assert page.losses == pytest.approx(run.losses)
    assert page.events[-1]["accuracy"] is None, "each score is told once"
    scores = {event["done"]: event["accuracy"] for event in page.events if event["accuracy"] is not None}
    assert scores == pytest.approx(dict(run.monitor.accuracies))
    assert [(k["name"], k["phases"]) for k in done["kernels"]] == [(k.name, list(k.phases)) for k in run.plan.kernels]
    assert done["lr"] == pytest.approx(0.2)


def test_the_step_is_the_one_that_the_graph_shows(page: Page) -> None:
    done = page.train(steps=1)
    program = Program(EXAMPLES["mlp"])
    plan = anneal.compile(*program.outputs("step"), target=Target.portable())
    assert done["facts"]["fingerprint"] == plan.fingerprint


def test_events_say_how_far_it_is(page: Page) -> None:
    page.train(steps=25)
    states = [event["state"] for event in page.events]
    assert states == ["compiling", "training", *["training"] * 4, "done"]
    assert [event["done"] for event in page.events] == [0, 0, 1, 10, 20, 25, 25]
    assert [len(event["losses"]) for event in page.events] == [0, 0, 1, 9, 10, 5, 0]
    assert page.events[1]["facts"]["parameters"] == 9610
    assert all(event["facts"] is None for event in page.events[2:-1]), "what stays is told once"
    assert all(event["step_seconds"] > 0 and event["samples_per_second"] > 0 for event in page.events[2:])


def test_it_goes_on_where_it_stopped(page: Page) -> None:
    page.react = lambda event: event["done"] >= 20 and page.change(stop=True)
    stopped = page.train(steps=50)
    assert (stopped["state"], stopped["done"], stopped["target"]) == ("stopped", 21, 50), "after the step that follows"
    page.react = lambda _: None
    done = page.train(steps=10)
    assert (done["state"], done["done"], done["target"], done["facts"]["start"]) == ("done", 31, 31, 21)
    other = Page()
    other.train(steps=31)
    assert page.losses == other.losses, "as if it had never stopped"


def test_a_stop_before_the_first_step_makes_one(page: Page) -> None:
    page.react = lambda event: event["state"] == "compiling" and page.change(stop=True)
    assert page.train(steps=50)["done"] == 1


def test_a_reset_begins_anew(page: Page) -> None:
    page.train(steps=5)
    first = page.losses
    assert page.change(reset=True)["state"] == "none"
    page.train(steps=5)
    assert [e["done"] for e in page.events].count(0) == 4
    assert page.losses == first


def test_a_reset_while_it_trains_ends_it(page: Page) -> None:
    page.react = lambda event: event["done"] == 10 and page.change(reset=True)
    assert page.train(steps=50)["state"] == "none"
    assert [event["done"] for event in page.events] == [0, 0, 1, 10, 11, 0]
    with pytest.raises(UsageError, match="nothing is trained yet"):
        page.predict()


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_another_rate_holds_from_the_next_window_and_compiles_nothing(page: Page, optimizer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []
    compile_program = realize.compile_program

    def counted(program: realize.Program, target: Target) -> Plan:
        compiled.append(program)
        return compile_program(program, target)

    def slower(event: dict[str, Any]) -> None:
        if event["done"] == 10:
            compiled.clear()
            page.change(lr=0.0)

    monkeypatch.setattr(realize, "compile_program", counted)
    page.react = slower
    page.train(steps=30, optimizer=optimizer)
    assert compiled == []
    held = [event["accuracy"] for event in page.events if event["accuracy"] is not None]
    assert held[1:] == [held[1]] * len(held[1:]), "nothing is learned at a rate of 0"
    assert page.events[-1]["lr"] == 0
    page.react = lambda _: None
    page.train(steps=30, optimizer=optimizer, lr=0.01)
    assert page.events[-1]["lr"] == 0.01
    assert page.events[-1]["done"] == 60
    assert [event["accuracy"] for event in page.events if event["accuracy"] is not None][-1] > held[-1]


def test_a_rate_that_is_set_while_it_compiles_holds_from_the_first_step(page: Page) -> None:
    page.react = lambda event: event["state"] == "compiling" and page.change(lr=0.0)
    page.train(steps=20)
    held = [event["accuracy"] for event in page.events if event["accuracy"] is not None]
    assert page.events[-1]["lr"] == 0
    assert held == [held[0]] * len(held), "nothing is learned at a rate of 0"


def test_the_open_program_is_trained_though_another_is_opened_meanwhile() -> None:
    async def work() -> Any:
        tab = Tab()
        assert (await tab.handle("open", {"source": example("mlp")["source"]}))["ok"]
        trained = asyncio.ensure_future(tab.handle("train", {"model": "program", "steps": 3}))
        await asyncio.sleep(0)
        assert (await tab.handle("open", {"source": "from anneal import Tensor\nTensor([1.0])"}))["ok"]
        return await trained

    told = asyncio.run(work())
    assert told["ok"], told
    assert (told["value"]["state"], told["value"]["done"]) == ("done", 3)


def test_another_model_batch_optimiser_or_seed_is_another_training(page: Page) -> None:
    page.train(steps=3)
    for more in ({"batch": 32}, {"optimizer": "adam"}, {"seed": 1}, {"model": "mlp"}):
        assert page.train(steps=2, **more)["done"] == 2
    assert page.train(steps=2)["done"] == 4
    assert [event["state"] for event in page.events].count("compiling") == 5


def test_conv_trains(page: Page) -> None:
    done = page.train(model="conv", steps=3, batch=8)
    assert (done["model"], done["done"]) == ("conv", 3)
    told = page.predict(count=2)
    assert (told["width"], told["height"], len(told["digits"])) == (8, 8, 2)


def test_a_loss_that_is_no_number_is_told_and_the_next_start_is_anew(page: Page) -> None:
    with pytest.raises(AnnealError, match="training has diverged .* smaller learning rate"):
        page.train(steps=50, lr=1e30)
    last = page.events[-1]
    assert last["state"] == "failed"
    assert "diverged" in last["error"]
    assert page.train(steps=2)["done"] == 2


def test_one_training_at_a_time(page: Page) -> None:
    refused: list[str] = []

    def again(event: dict[str, Any]) -> None:
        if event["done"] == 1:
            coroutine = training.train(page.state, {"model": "mlp"})
            with pytest.raises(UsageError, match="a training is running"):
                coroutine.send(None)
            refused.append(event["state"])

    page.react = again
    assert page.train(steps=3)["done"] == 3
    assert refused == ["training"]


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"model": "mpl"}, "no model 'mpl': did you mean 'mlp'"),
        ({"model": None}, "no model None"),
        ({"model": ["mlp"]}, "no model"),
        ({"model": "program"}, "no program is open"),
        ({"steps": 0}, "steps is to be a whole number from 1"),
        ({"steps": 1.5}, "steps is to be"),
        ({"steps": True}, "steps is to be"),
        ({"steps": 10**9}, "steps is to be"),
        ({"batch": 0}, "batch is to be"),
        ({"batch": 5000}, "a batch of 5000: mlp has 1437 rows"),
        ({"batch": "64"}, "batch is to be"),
        ({"seed": -1}, "seed is to be a whole number from 0"),
        ({"seed": 1 << 63}, "seed is to be"),
        ({"lr": -1}, "a learning rate is a finite number from 0 on"),
        ({"lr": math.inf}, "a learning rate is"),
        ({"lr": "0.1"}, "a learning rate is"),
        ({"optimizer": "sdg"}, "no optimiser 'sdg'"),
        ({"optimizer": ["sgd"]}, "no optimiser"),
    ],
)
def test_what_cannot_be_trained_is_refused(page: Page, params: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        page.train(**params)
    assert page.train(steps=1)["done"] == 1, "and the next one works"


def test_without_a_device_it_says_so(page: Page) -> None:
    page.state.no_device = "this browser has no WebGPU"
    with pytest.raises(NoDeviceError, match="no WebGPU"):
        page.train()


def test_a_rate_that_is_none_is_refused_and_one_before_the_training_is_nothing(page: Page) -> None:
    with pytest.raises(UsageError, match="a learning rate is"):
        page.change(lr=-1)
    assert page.change(lr=0.5)["state"] == "none"
    assert page.change(stop=True)["state"] == "none"
    assert page.train(steps=1)["lr"] == pytest.approx(0.2)


def test_what_is_said_of_digits_is_what_the_model_gives(device: str, page: Page) -> None:
    page.train(steps=20)
    accuracy = [event["accuracy"] for event in page.events if event["accuracy"] is not None][-1]
    told = page.predict(count=360)
    held = digits._rows()[: digits.HELD_OUT]
    assert [d["truth"] for d in told["digits"]] == [row[64] for row in held]
    assert [d["pixels"] for d in told["digits"]] == [pytest.approx([v / 16 for v in row[:64]]) for row in held]
    assert told["right"] == sum(d["truth"] == d["said"] for d in told["digits"]) == round(accuracy * 360)
    assert all(sum(d["probabilities"]) == pytest.approx(1) and max(d["probabilities"]) == d["probabilities"][d["said"]] for d in told["digits"])
    wrong = page.predict(count=360, wrong=True)["digits"]
    assert wrong == [d for d in told["digits"] if d["truth"] != d["said"]]
    assert 0 < len(wrong) < 100


def test_what_is_said_is_what_another_reckoning_gives(page: Page) -> None:
    page.train(steps=5)
    trainer = training.session(page.state).trainer
    assert trainer is not None
    weights = [t.numpy() for t in nn.state.get_parameters(trainer.program.model)]
    hidden, hidden_bias, output, output_bias = weights
    told = page.predict(count=3)["digits"]
    for digit in told:
        inner = np.maximum(hidden @ np.array(digit["pixels"]) + hidden_bias, 0)
        powers = np.exp(output @ inner + output_bias)
        assert digit["probabilities"] == pytest.approx(powers / powers.sum(), abs=1e-5)


def test_saying_changes_nothing(page: Page) -> None:
    page.train(steps=5)
    before = page.predict(count=5)
    assert page.predict(count=5) == before
    page.train(steps=5)
    assert page.predict(count=5) != before
    other = Page()
    other.train(steps=10)
    assert page.losses == other.losses


def regression(rows: int = 16) -> Example:
    def data() -> Data:
        return Data(Tensor.rand(rows, 5), Tensor.rand(rows, 1), Tensor.rand(rows, 5), Tensor.rand(rows, 1))

    return Example("line", "", lambda: nn.Linear(5, 1), data, loss=lambda y, t: (y - t).square().mean(), score=lambda y, t: (y - t).square().mean(), batch=4)


def test_a_model_of_numbers_trains_and_says_nothing_of_rows(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXAMPLES, "line", regression())
    assert page.train(model="line", steps=3)["done"] == 3
    with pytest.raises(UsageError, match="line does not tell classes apart"):
        page.predict()


SOURCE = """
from anneal import nn
from anneal.examples import Example, digits

Example("small", "", lambda: nn.Linear(64, 10), digits.load, optimizer="adam", batch=16)
"""


def test_through_the_tab_while_the_program_changes(page: Page) -> None:
    heard: list[str] = []
    tab = Tab(lambda name, text: heard.append(f"{name} {json.loads(text)['state']}"))

    async def use() -> list[Any]:
        first = await tab.handle("train", {"model": "program", "steps": 2})
        await tab.handle("open", {"source": SOURCE, "part": "step", "name": "small"})
        second = await tab.handle("train", {"model": "program", "steps": 12})
        await tab.handle("open", {"source": "from anneal import Tensor\nTensor([1.0])", "part": None, "name": "x"})
        return [first, second, await tab.handle("predict", {"count": 1}), await tab.handle("train", {"model": "program"})]

    first, second, third, fourth = asyncio.run(use())
    assert first["error"]["message"] == "no program is open: compile one first"
    assert (second["ok"], second["value"]["model"], second["value"]["done"], second["value"]["facts"]["batch"]) == (True, "small", 12, 16)
    assert third["value"]["held"] == 360
    assert "ends in tensors" in fourth["error"]["message"]
    assert heard[0] == "train compiling"
    assert heard[-1] == "train done"
