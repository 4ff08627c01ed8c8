"""Training in the tab: a model on its real data, with what it comes to told as it goes on, and what it says of held-out rows.

There is one training. It goes on where it stopped, with parameters and the optimiser's state as they are, as long as model, batch, optimiser
and seed are what they were; another rate compiles nothing. It gives way to other requests after each window of steps.

    train {model, steps, batch, optimizer, lr, seed}  trains so many steps more; answers at the end, and tells events `train` meanwhile
    train_set {lr, stop, reset}                       another rate from the next step on; an end after the step it is at; nothing learned
    predict {count, wrong}                            held-out rows, with what the model says of them by now

>>> import asyncio
>>> from anneal.viz.state import State
>>> trained = asyncio.run(train(State(), {"model": "mlp", "steps": 2}))
>>> trained["done"], trained["state"], trained["facts"]["parameters"]
(2, 'done', 9610)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypedDict

from anneal.codegen.target import Target
from anneal.errors import NoDeviceError, UsageError, meant
from anneal.examples import EXAMPLES
from anneal.examples.example import OPTIMIZERS, Example, optimizer_name
from anneal.examples.monitor import Monitor, Record
from anneal.examples.program import Program
from anneal.examples.trainer import Trainer, facts, follow_async
from anneal.runtime.device import open_device
from anneal.viz.guessing import Guesses, Predicted, read
from anneal.viz.messages import Params, is_whole
from anneal.viz.state import State

OPEN: Final = "program"
"""The model that stands for the program that is open."""
MOST_STEPS: Final = 1_000_000
_KEY: Final = "training"
_SEEDS: Final = 1 << 63


class KernelName(TypedDict):
    """A kernel of a step."""

    name: str
    phases: list[str]


class Trained(TypedDict):
    """How far a training is: what an event tells, and an answer."""

    state: str
    """`compiling`, `training`, `scoring`, `done`, `stopped`, `failed`; `none` before anything is trained and after a reset."""
    model: str
    done: int
    """Steps made from the start, those of trainings that were stopped too."""
    target: int
    losses: list[float]
    """Those of the last steps that were not told before; the last is that of step `done`."""
    accuracy: float | None
    """The score on the held-out rows after step `done`, where it was taken."""
    lr: float | None
    step_seconds: float | None
    """Medians of the last steps: of all, of what Python does, of the kernels by the device's clock."""
    host_seconds: float | None
    device_seconds: float | None
    samples_per_second: float | None
    error: str | None
    facts: dict[str, Any] | None
    """What is trained, where and how, as `examples.monitor.Facts` has it; told once a training and with the answer."""
    kernels: list[KernelName] | None


@dataclass(frozen=True, slots=True)
class Settings:
    """What makes it another training when it changes."""

    example: Example
    batch: int | None
    optimizer: str | None
    seed: int


class Session:
    """The training of a tab."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.settings: Settings | None = None
        self.trainer: Trainer | None = None
        self.guesses: Guesses | None = None
        self.lr: float | None = None
        self.running = False
        self.monitor: Monitor | None = None
        self._stop = self._forget = False

    async def train(self, settings: Settings, steps: int, lr: float | None) -> Trained:
        """Train; returns what has come of it. Raises what training raises, and UsageError while it runs already."""
        if self.running:
            raise UsageError("a training is running: stop it before another begins")
        self.running, self._stop, self._forget = True, False, False
        try:
            trainer = await self._ready(settings, lr)
            self.monitor = Monitor(facts(trainer, optimizer_name(settings.example, settings.optimizer)), trainer.done + steps)
            self.monitor.observers.append(self._watch)
            self._tell("training", whole=True)
            if self._stop:
                self.monitor.stop()
            await follow_async(trainer, self.monitor)
        except BaseException as error:
            self._tell("failed", error=str(error) or type(error).__name__)
            self._clear()  # parameters that are no numbers, or half a compilation, are nothing to go on from
            raise
        finally:
            self.running = False
        if self._forget:
            self._clear()
            return self._tell("none")
        return self._tell(self.monitor.state, whole=True)

    async def _ready(self, settings: Settings, lr: float | None) -> Trainer:
        """The trainer of these settings, as far as it has got, unless its device was lost. Its plan is the one that every device can run."""
        device = await open_device()
        if self.trainer is not None and self.settings == settings and self.trainer.device is device:
            if lr is not None:
                self.rate(lr)
            return self.trainer
        self._clear()
        self.settings = settings
        self._tell("compiling")
        # From here to the first await all of the user's own code runs: opening another program takes its names away.
        program = Program(settings.example, batch=settings.batch, optimizer=settings.optimizer, seed=settings.seed, lr=lr)
        guesses = Guesses(program, device)
        trainer = Trainer(program, device, target=Target.portable())
        own = float((await read(program.optimizer.lr, device))[0])
        self.trainer, self.guesses = trainer, guesses
        if self.lr is None:
            self.lr = own
        else:  # it was changed meanwhile
            self.rate(self.lr)
        return trainer

    def rate(self, lr: float) -> None:
        """Train at another rate from the next step on; while the step is being compiled, from the first one on."""
        if self.trainer is not None:
            self.trainer.program.optimizer.set_lr(lr)
        if self.trainer is not None or self.running:
            self.lr = lr

    def stop(self) -> None:
        """End after the step that is under way."""
        self._stop = True
        if self.monitor is not None:
            self.monitor.stop()

    def reset(self) -> None:
        """Forget what was learned; a training that runs is stopped first."""
        if self.running:
            self._forget = True
            self.stop()
        else:
            self._clear()

    def _clear(self) -> None:
        self.settings = self.trainer = self.guesses = self.monitor = self.lr = None

    def _watch(self, records: Sequence[Record]) -> None:
        self._tell("training", records)

    def _tell(self, state: str, records: Sequence[Record] = (), *, whole: bool = False, error: str | None = None) -> Trained:
        """Tell the page how far it is; returns what it was told."""
        told = self.told(state, records, whole=whole, error=error)
        self._state.emit("train", dict(told))
        return told

    def told(self, state: str, records: Sequence[Record] = (), *, whole: bool = False, error: str | None = None) -> Trained:
        """How far it is."""
        monitor = self.monitor
        whole = whole and monitor is not None
        plan = self.trainer.plan if self.trainer is not None and whole else None
        return {
            "state": state,
            "model": self.settings.example.name if self.settings is not None else "",
            "done": monitor.done if monitor is not None else 0,
            "target": monitor.steps if monitor is not None else 0,
            "losses": [record.loss for record in records],
            "accuracy": records[-1].accuracy if records else None,
            "lr": self.lr,
            "step_seconds": None if monitor is None else monitor.median("seconds"),
            "host_seconds": None if monitor is None else monitor.median("host_seconds"),
            "device_seconds": None if monitor is None else monitor.median("device_seconds"),
            "samples_per_second": None if monitor is None else monitor.samples_per_second,
            "error": error,
            "facts": asdict(monitor.facts) if monitor is not None and whole else None,
            "kernels": None if plan is None else [{"name": k.name, "phases": list(k.phases)} for k in plan.kernels],
        }


def session(state: State) -> Session:
    """The training of a tab."""
    found = state.kept.setdefault(_KEY, Session(state))
    assert isinstance(found, Session)
    return found


async def train(state: State, params: Params) -> Trained:
    """Answer `train`. Raises NoDeviceError without a device, UsageError for what cannot be trained, AnnealError when the loss stops being a number."""
    if state.no_device is not None:
        raise NoDeviceError(state.no_device)
    example = _example(state, params.get("model", OPEN))
    name = params.get("optimizer")
    if name is not None and not (isinstance(name, str) and name in OPTIMIZERS):
        raise UsageError(f"no optimiser {name!r}: there are {', '.join(OPTIMIZERS)}, or nothing for the model's own")
    batch = _whole(params, "batch", None, MOST_STEPS)
    steps = _whole(params, "steps", example.steps, MOST_STEPS)
    settings = Settings(example, batch, name, _whole(params, "seed", 0, _SEEDS - 1, least=0) or 0)
    return await session(state).train(settings, steps or example.steps, _rate(params))


def change(state: State, params: Params) -> Trained:
    """Answer `train_set`. Raises UsageError for a rate that is none."""
    at, lr = session(state), _rate(params)
    if lr is not None:
        at.rate(lr)
    if params.get("reset"):
        at.reset()
    elif params.get("stop"):
        at.stop()
    running = "training" if at.running else "stopped" if at.trainer is not None else "none"
    return at.told(running)


async def predict(state: State, params: Params) -> Predicted:
    """Answer `predict`. Raises UsageError before anything is trained, and for a model that does not tell classes apart."""
    guesses = session(state).guesses
    if guesses is None:
        raise UsageError("nothing is trained yet: start the training first")
    return await guesses.now(_whole(params, "count", 20, 1000) or 20, wrong=bool(params.get("wrong")))


def _example(state: State, name: object) -> Example:
    """The example of that name, or that of the program that is open."""
    if name == OPEN:
        example = state.open.example
        if example is None:
            raise UsageError("the program that is open ends in tensors, and training needs a model: let it end in an anneal.examples.Example")
        return example
    if not isinstance(name, str) or name not in EXAMPLES:
        raise UsageError(f"no model {name!r}: {meant(str(name), EXAMPLES) or 'there are ' + ', '.join([*EXAMPLES, OPEN])}")
    return EXAMPLES[name]


def _whole(params: Params, name: str, usual: int | None, most: int, least: int = 1) -> int | None:
    """A parameter that is a whole number; `usual` where it is left out."""
    value = params.get(name)
    if value is None:
        return usual
    if not is_whole(value, least, most):
        raise UsageError(f"{name} is to be a whole number from {least} to {most:,}, not {value!r}")
    return value


def _rate(params: Params) -> float | None:
    """The learning rate, where one is given."""
    value = params.get("lr")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= 0):
        raise UsageError(f"a learning rate is a finite number from 0 on, not {value!r}")
    return float(value)
