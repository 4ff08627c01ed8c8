"""The state of a training that displays share, and the trainer that fills it: pauses, stops, scores, times."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from small_example import small

from anneal.errors import AnnealError
from anneal.examples import EXAMPLES, trainer
from anneal.examples.monitor import Facts, Monitor, Record
from anneal.examples.program import Program
from anneal.examples.trainer import Trainer, facts, follow, follow_async
from anneal.runtime.device import get_device

FACTS = Facts("small", "reference", "NumPy", batch=4, optimizer="sgd", seed=0, rows=16, held=7, parameters=9)


def made(steps: int, device: str = "reference", **changes: Any) -> tuple[Trainer, Monitor]:
    ready = Trainer(Program(small(**changes)), get_device(device))
    return ready, Monitor(facts(ready, "sgd"), steps)


def record(step: int, seconds: float = 0.5, accuracy: float | None = None) -> Record:
    return Record(step, 1 / step, seconds, seconds / 2, None, accuracy)


def test_watching_and_scoring_change_no_loss() -> None:
    for device in ("reference", "webgpu"):
        alone, _ = made(45, device)
        expected = [loss for window in alone.train(45) for loss in window.losses]
        watched, monitor = made(45, device)
        follow(watched, monitor)
        assert [r.loss for r in monitor.records] == expected
        assert [r.step for r in monitor.records] == list(range(1, 46))
        assert monitor.accuracies == [(r.step, r.accuracy) for r in monitor.records if r.accuracy is not None]
        assert [step for step, _ in monitor.accuracies] == [10, 20, 30, 40, 45]
        assert monitor.accuracies[-1][1] == alone.score()
        assert monitor.state == "done"


def test_a_training_that_is_awaited_is_the_same_and_pauses_without_blocking() -> None:
    watched, monitor = made(30)
    follow(watched, monitor)
    other, awaited = made(30)

    async def work() -> list[str]:
        def pause(_: Sequence[Record]) -> None:
            if awaited.done == 10:
                awaited.pause()

        awaited.observers.append(pause)
        training = asyncio.ensure_future(follow_async(other, awaited))
        await asyncio.sleep(0)  # a native device never lets go but in a pause
        states = [awaited.state]
        awaited.resume()
        await training
        return [*states, awaited.state]

    assert asyncio.run(work()) == ["paused", "done"]
    assert [r.loss for r in awaited.records] == [r.loss for r in monitor.records]
    assert awaited.accuracies[-1] == monitor.accuracies[-1]


def test_a_clocked_step_is_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step that may be clocked on the GPU against none: the same losses, and a time of kernels for each window of several steps."""
    found = {}
    for period in (0.0, float("inf")):
        monkeypatch.setattr(trainer, "_CLOCKED", period)
        ready, monitor = made(35, "webgpu")
        ready._clocked = -1.0
        follow(ready, monitor)
        found[period] = monitor.records
    always, never = found.values()
    assert [r.loss for r in always] == [r.loss for r in never]
    assert [r.device_seconds is not None for r in always] == [r.step > 1 for r in always]
    assert all(r.device_seconds > 0 for r in always if r.device_seconds is not None)
    assert all(r.device_seconds is None for r in never)
    assert all(r.seconds > 0 and r.host_seconds > 0 for r in always + never)


def test_the_reference_device_works_while_it_is_submitted_to() -> None:
    ready, monitor = made(12)
    follow(ready, monitor)
    for r in monitor.records:
        assert r.device_seconds is not None
        assert 0 < r.host_seconds + r.device_seconds <= r.seconds * 1.0001


def test_the_time_of_scoring_is_in_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of the test's own, which only scoring moves on."""
    now = [0.0]
    monkeypatch.setattr(trainer, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    ready, monitor = made(30)

    async def score() -> float:
        now[0] += 5.0
        return 0.5

    monkeypatch.setattr(ready, "score_async", score)
    follow(ready, monitor)
    assert [r.seconds for r in monitor.records] == [0.0] * 30
    assert monitor.score_seconds == 5.0


@pytest.mark.parametrize(("steps", "expected"), [(1, 10), (300, 10), (301, 20), (3000, 100), (10_000_000, 500)])
def test_a_training_is_scored_about_thirty_times(steps: int, expected: int) -> None:
    assert trainer._interval(steps) == expected


class Display:
    """Asks for something once a step has been made, as a key does."""

    def __init__(self, monitor: Monitor, at: int, ask: Any) -> None:
        self.monitor, self.at, self.ask = monitor, at, ask

    def __call__(self, records: Sequence[Record]) -> None:
        if records[-1].step >= self.at:
            self.at = 1 << 60
            self.ask()


def test_stop_ends_the_training_with_a_score() -> None:
    ready, monitor = made(1000)
    monitor.observers.append(Display(monitor, 20, monitor.stop))
    follow(ready, monitor)
    assert (monitor.done, monitor.state, monitor.interrupted) == (21, "stopped", True)
    assert monitor.accuracies[-1][0] == 21


def test_pause_holds_the_training_until_it_is_resumed() -> None:
    ready, monitor = made(40)
    monitor.observers.append(Display(monitor, 10, monitor.pause))
    thread = threading.Thread(target=follow, args=(ready, monitor))
    thread.start()
    while monitor.state != "paused":
        thread.join(0.01)
    held = monitor.done
    thread.join(0.05)
    assert (monitor.done, monitor.pausing, thread.is_alive()) == (held, True, True)
    assert monitor.accuracies[-1][0] == held == 11
    monitor.resume()
    thread.join(60)
    assert (monitor.done, monitor.state) == (40, "done")
    alone, _ = made(40)
    assert [r.loss for r in monitor.records] == [loss for window in alone.train(40) for loss in window.losses]


def test_a_training_that_is_stopped_while_it_is_paused_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    class Crossed(threading.Event):
        """The training is stopped by somebody else at the very moment that it is paused."""

        def clear(self) -> None:
            monitor.stop()
            super().clear()

    monkeypatch.setattr(threading, "Event", Crossed)
    monitor = Monitor(FACTS, 10)
    monitor.pause()
    assert (monitor.stopping, monitor.pausing) == (True, False)


def test_stop_ends_a_pause() -> None:
    ready, monitor = made(1000)
    monitor.observers.append(Display(monitor, 10, monitor.pause))
    thread = threading.Thread(target=follow, args=(ready, monitor))
    thread.start()
    while monitor.state != "paused":
        thread.join(0.01)
    monitor.stop()
    monitor.pause()
    thread.join(60)
    assert not thread.is_alive()
    assert (monitor.state, monitor.pausing, monitor.done) == ("stopped", False, 11)


def test_what_training_raises_is_known_to_the_monitor() -> None:
    ready, monitor = made(50, loss=lambda y, t: (y.square().sum() * 1e30).exp() + t.sum().float())
    with pytest.raises(AnnealError, match="training has diverged"):
        follow(ready, monitor)
    assert monitor.state == "failed"
    assert monitor.error is not None
    assert "the loss is inf at step 1:" in monitor.error


def test_facts_are_those_of_the_plan() -> None:
    example = replace(EXAMPLES["mlp"], batch=8)
    ready = Trainer(Program(example), get_device("reference"))
    found = facts(ready, "sgd")
    assert (found.model, found.batch, found.rows, found.held) == ("mlp", 8, 1437, 360)
    assert found.parameters == 64 * 128 + 128 + 128 * 10 + 10
    assert sum(found.phases.values()) == found.kernels == len(ready.plan.kernels)
    assert found.fused == ready.plan.stats["kernels_fused"] == sum(len(k.phases) > 1 for k in ready.plan.kernels) > 0
    assert (found.fingerprint, found.bytes) == (ready.plan.fingerprint, ready.plan.stats["peak_bytes"])


def test_medians_leave_the_first_window_out_unless_there_is_no_other() -> None:
    monitor = Monitor(FACTS, 100)
    assert (monitor.step_seconds, monitor.samples_per_second, monitor.seconds_left, monitor.accuracy) == (None, None, None, None)
    assert monitor.line() == "step 0/100"
    monitor.add([record(1, 9.0)])
    assert monitor.step_seconds == 9.0
    monitor.add([record(2, 0.25), record(3, 0.75), record(4, 0.5)])
    assert monitor.step_seconds == 0.5
    assert monitor.median("host_seconds") == 0.25
    assert monitor.median("device_seconds") is None
    assert monitor.samples_per_second == 8
    assert monitor.seconds_left == 48.0


def test_recent_steps_say_how_long_it_will_take() -> None:
    monitor = Monitor(FACTS, 2000)
    monitor.add([record(1)])
    monitor.add([record(step, 4.0) for step in range(2, 502)])
    monitor.add([record(step, 1.0) for step in range(502, 702)])
    assert monitor.step_seconds == 1.0
    assert monitor.median("seconds", recent=None) == 4.0


def test_time_left_counts_the_scorings_to_come() -> None:
    monitor = Monitor(FACTS, 100)
    monitor.add([record(1)])
    monitor.add([record(step, 0.5, 0.9 if step == 20 else None) for step in range(2, 21)])
    monitor.score_seconds = 2.0
    assert monitor.seconds_left == pytest.approx(80 * 0.5 + 80 / 20 * 2.0)


def test_a_resumed_training_begins_where_it_was() -> None:
    monitor = Monitor(replace(FACTS, start=50), 100)
    assert (monitor.done, monitor.fraction) == (50, 0.0)
    monitor.add([record(51), record(52)])
    assert (monitor.done, monitor.fraction) == (52, 0.04)
    assert monitor.line() == "step  52/100  loss 0.0192  500.00 ms/step"
