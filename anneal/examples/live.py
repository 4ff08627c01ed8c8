"""Training from Python: a table that follows it in a notebook, lines on a terminal, and what has come of it.

The table is plain HTML with inline SVG, renewed in place: it needs no widgets and stays in a saved notebook as it was at the end.

>>> run = train("mlp", steps=2, batch=8, device="reference")
>>> run, len(run.losses)
(<Run of mlp on reference: step 2 of 2, loss 2.3..., accuracy 0...>, 2)
"""

from __future__ import annotations

import html
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, Final

from anneal.errors import UsageError
from anneal.examples.example import Example, optimizer_name
from anneal.examples.log import Log
from anneal.examples.monitor import Monitor, Record
from anneal.examples.program import Program
from anneal.examples.registry import EXAMPLES
from anneal.examples.trainer import Trainer, facts, follow, follow_async, interruptible
from anneal.runtime.device import get_device, open_device
from anneal.runtime.plan import Plan
from anneal.view.html import ink
from anneal.view.phases import kind_of, symbol

_EVERY: Final = 0.2
"""Seconds from one renewal of the table to the next."""
_WIDTH, _HEIGHT = 240, 36
_SEEDS: Final = 1 << 63


@dataclass(frozen=True, slots=True, repr=False)
class Run:
    """A training and what has come of it; a notebook shows it as a table."""

    monitor: Monitor
    """Every step, the scores, the times, and the facts of the training."""
    trainer: Trainer
    shown: object = field(default=None, compare=False)
    """The notebook's cell that shows it already."""

    @property
    def losses(self) -> list[float]:
        """The loss of each step."""
        return [record.loss for record in self.monitor.records]

    @property
    def accuracy(self) -> float:
        """The score over the held-out rows at the end."""
        return self.monitor.accuracies[-1][1]

    @property
    def model(self) -> Any:
        """The trained network: call it with a batch, or take its tensors with `nn.state.get_state_dict`."""
        return self.trainer.program.model

    @property
    def plan(self) -> Plan:
        """The plan of a step."""
        return self.trainer.plan

    def __repr__(self) -> str:
        watched = self.monitor
        loss, accuracy = watched.records[-1].loss, self.accuracy
        return f"<Run of {watched.facts.model} on {watched.facts.device}: step {watched.done} of {watched.steps}, loss {loss:.4f}, accuracy {accuracy:.4f}>"

    def _repr_html_(self) -> str | None:
        return None if self.shown is not None and self.shown == _cell() else table(self.monitor)


def train(
    model: str | Example,
    steps: int | None = None,
    *,
    batch: int | None = None,
    lr: float | None = None,
    optimizer: str | None = None,
    seed: int = 0,
    device: str | None = None,
    log: str | None = None,
) -> Run:
    """Train a model, one of `EXAMPLES` by name or an `Example` of your own, as `anneal train` does; what is None is as the example has it.

    A notebook shows the training as a table while it goes on; a terminal gets a line for each ten steps on stderr. Ctrl-C, or a notebook's
    stop button, ends it after the step it is at. With `log` every step is written to that file, for `anneal plot`. Raises AnnealError when
    the loss stops being a number, UsageError for what cannot be trained, NoDeviceError where the device is missing.
    """
    example, wanted = _asked(model, steps, batch, lr, seed)
    trainer = Trainer(Program(example, batch=batch, seed=seed, optimizer=optimizer, lr=lr), get_device(device))
    with _watched(trainer, optimizer_name(example, optimizer), wanted, log) as monitor:
        follow(trainer, monitor)
    return Run(monitor, trainer, _cell())


async def train_async(
    model: str | Example,
    steps: int | None = None,
    *,
    batch: int | None = None,
    lr: float | None = None,
    optimizer: str | None = None,
    seed: int = 0,
    device: str | None = None,
    log: str | None = None,
) -> Run:
    """As `train`, awaited: for a browser tab, where not every browser lets Python wait for the GPU, and for a program with an event loop."""
    example, wanted = _asked(model, steps, batch, lr, seed)
    trainer = Trainer(Program(example, batch=batch, seed=seed, optimizer=optimizer, lr=lr), await open_device(device))
    with _watched(trainer, optimizer_name(example, optimizer), wanted, log) as monitor:
        await follow_async(trainer, monitor)
    return Run(monitor, trainer, _cell())


def _asked(model: str | Example, steps: int | None, batch: int | None, lr: float | None, seed: int) -> tuple[Example, int]:
    """The example to train and for how many steps; raises UsageError for what cannot be."""
    if isinstance(model, str) and model not in EXAMPLES:
        raise UsageError(f"no model {model!r}: there are {', '.join(sorted(EXAMPLES))}, or pass an Example of your own")
    example = EXAMPLES[model] if isinstance(model, str) else model
    if not isinstance(example, Example):
        raise UsageError(f"train takes the name of a model or an anneal.examples.Example, not {type(example).__name__}: {example!r}")
    wanted = example.steps if steps is None else steps
    _numbers(True, steps=wanted, batch=batch, seed=seed)
    _numbers(False, lr=lr)
    if wanted < 1 or not 0 <= seed < _SEEDS:
        raise UsageError(f"cannot train for {wanted} steps with seed {seed}: steps count from 1, and a seed is from 0 to 2**63 - 1")
    return example, wanted


@contextmanager
def _watched(trainer: Trainer, optimizer: str, steps: int, log: str | None) -> Iterator[Monitor]:
    """A monitor whose displays follow the training inside, and are renewed at its end; a first Ctrl-C ends the training."""
    monitor = Monitor(facts(trainer, optimizer), steps)
    if log is not None:
        monitor.observers.append(Log(log, monitor.facts, steps, lambda message: warnings.warn(message, stacklevel=2)))
    renew = _display(monitor)
    try:
        with interruptible(monitor):
            yield monitor
    finally:
        renew()


def _numbers(whole: bool, /, **given: object) -> None:
    """Raise UsageError for what is given and is no number, or no whole one."""
    for name, value in given.items():
        if value is not None and not isinstance(value, Integral if whole else Real):
            raise UsageError(f"{name} is a {'whole ' if whole else ''}number, not {value!r}")


def _shell() -> Any:
    """The IPython that runs this notebook; None elsewhere. IPython is not imported for it."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return shell if getattr(shell, "kernel", None) is not None else None


def _cell() -> object:
    """The notebook's cell that runs; None outside of notebooks."""
    return getattr(_shell(), "execution_count", None)


def _display(monitor: Monitor) -> Callable[[], None]:
    """Show the training as it goes on: a table in a notebook, lines on a terminal; returns what renews the table."""
    if _shell() is None:
        if sys.stderr is not None and sys.stderr.isatty():
            monitor.observers.append(lambda _: _say(monitor.line()))
        return lambda: None
    from IPython import display

    shown: Any = display
    handle = shown.display(_bundle(monitor), raw=True, display_id=True)
    last = time.monotonic()

    def renew(records: Sequence[Record] = ()) -> None:
        nonlocal last
        if not records or time.monotonic() - last > _EVERY:
            handle.update(_bundle(monitor), raw=True)
            last = time.monotonic()

    monitor.observers.append(renew)
    return renew


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def _bundle(monitor: Monitor) -> dict[str, str]:
    return {"text/html": table(monitor), "text/plain": monitor.line()}


# The table.


def table(monitor: Monitor) -> str:
    """A training as an HTML table."""
    known, records = monitor.facts, monitor.records
    rows = {
        "step": f"{monitor.done:,} of {monitor.steps:,} {_bar(monitor.fraction)} {_state(monitor)}",
        "loss": f"{records[-1].loss:.4f} {_sparkline([(r.step, r.loss) for r in records])}" if records else "not yet",
        "accuracy": f"{monitor.accuracies[-1][1]:.4f} {_sparkline(monitor.accuracies)} on {known.held:,} held-out rows" if monitor.accuracies else "not yet",
        "time": _times(monitor),
        "kernels": f"{known.kernels} for {known.uops:,} UOps: {', '.join(_phases(p, n) for p, n in known.phases.items())}",
        "memory": f"{known.bytes:,} bytes of buffers, {known.parameters:,} parameters",
        "device": html.escape(f"{known.device}: {known.backend}"),
    }
    cells = "".join(f'<tr><th style="text-align:left">{name}</th><td style="text-align:left">{text}</td></tr>' for name, text in rows.items())
    return f'<table class="anneal-train"><caption style="text-align:left">{html.escape(known.model)}, {html.escape(known.optimizer)}</caption>{cells}</table>'


def _bar(fraction: float) -> str:
    return f'<progress max="1" value="{fraction:.4f}">{fraction:.0%}</progress>'


def _state(monitor: Monitor) -> str:
    """What it does, and for how long still."""
    left = monitor.seconds_left
    if monitor.error is not None:
        return f"failed: {html.escape(monitor.error)}"
    return monitor.state if left is None or monitor.done >= monitor.steps or monitor.stopping else f"{monitor.state}, {left:.0f} s left"


def _times(monitor: Monitor) -> str:
    """The median step and its parts."""
    step, host, device = (monitor.median(what) for what in ("seconds", "host_seconds", "device_seconds"))
    if step is None or host is None:
        return "not yet"
    kernels = "" if device is None else f", kernels {device * 1e3:.2f} ms"
    return f"{step * 1e3:.2f} ms a step (host {host * 1e3:.2f} ms{kernels}), {monitor.samples_per_second or 0:,.0f} rows a second"


def _phases(phases: str, count: int) -> str:
    """How many kernels compute these phases, with the symbol and the colour of what they are."""
    kind = kind_of(phases.split("+"))
    return f'<span style="{ink(kind)}">{symbol(kind)}</span> {count} {html.escape(phases)}'


def _sparkline(points: Sequence[tuple[float, float]]) -> str:
    """A curve as a small SVG, thinned to a point a pixel."""
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    kept = finite[:: max(1, len(finite) // _WIDTH)] + finite[-1:]
    if len(finite) < 2:
        return ""
    left, right = kept[0][0], kept[-1][0]
    low, high = min(y for _, y in kept), max(y for _, y in kept)
    across, up = (_WIDTH - 2) / ((right - left) or 1), (_HEIGHT - 2) / ((high - low) or 1)
    line = " ".join(f"{1 + (x - left) * across:.1f},{_HEIGHT - 1 - (y - low) * up:.1f}" for x, y in kept)
    said = f"from {finite[0][1]:.4f} to {finite[-1][1]:.4f}"
    drawn = f'<polyline points="{line}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
    return f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" style="vertical-align:middle;{ink("forward")}"><title>{said}</title>{drawn}</svg>'
