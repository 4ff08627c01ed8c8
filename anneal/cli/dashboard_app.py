"""The dashboard as a Textual app: it polls a monitor, draws what it finds, and hands keys on as wishes.

It never waits for the training: a frame is what the monitor holds at that moment. Every size works: what does not fit is left out, so that
step and loss are there to the last.

>>> Dashboard.TITLE
'anneal train'
"""

from __future__ import annotations

import os
import time
from typing import ClassVar, Final, Protocol

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.theme import Theme
from textual.widgets import Footer, Static

from anneal.cli import dashboard_text as write
from anneal.cli.charts import Curve
from anneal.examples.monitor import Monitor
from anneal.view.phases import COLOURS

POLL: Final = 0.1
"""Seconds from one look at the monitor to the next."""
FRAME: Final = 0.5
"""Seconds from one drawing of new records to the next: drawing takes time from a training in the same process."""
SHOWN: Final = 3.0
"""Seconds that a dashboard stays at least, so that a training of a moment can be seen."""
MOST: Final = 10_000
"""Steps of which a curve is drawn; of more, evenly spaced ones."""
HINTS: Final = {
    "paused": "p goes on",
    "stopping": "ends after this step; Ctrl-C again ends it at once",
    "done": "closes by itself; p keeps it open, q closes it",
}
"""What keys do in a state, beside the footer."""
_THEME: Final = Theme("anneal", primary=COLOURS["forward"], secondary=COLOURS["backward"], accent=COLOURS["fused"], dark=True)


class Work(Protocol):
    """The training as the app knows it, beside its monitor."""

    def start(self) -> None:
        """Begin."""

    def over(self) -> bool:
        """True when it has ended, however."""


class View(Protocol):
    """What `v` asks for."""

    said: str
    """What became of it, to be told."""

    def ask(self) -> None:
        """Have the page written as soon as it may be."""

    def serve(self) -> None:
        """Write it now, if it was asked for: the training rests."""


class Plot(Static):
    """Values over steps, in the size that the layout gives it."""

    def __init__(self, name: str) -> None:
        super().__init__(id=name.rsplit(maxsplit=1)[-1])
        self._title = name
        self._points: Curve = []

    def show(self, points: Curve) -> None:
        """Draw the points."""
        self._points = points
        self.update(write.curve(self._title, points, self.content_size.width, self.content_size.height))

    def on_resize(self) -> None:
        """Draw the same points in the new size, which is known here only."""
        self.show(self._points)


class Dashboard(App[None]):
    """The dashboard of one training."""

    TITLE = "anneal train"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "stop", "stop"),
        Binding("p", "pause", "pause, go on"),
        Binding("v", "view", "view the graph"),
        Binding("ctrl+c,ctrl+q", "interrupt", "stop", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", "suspend", show=False),
    ]
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (64, "-wide")]  # noqa: RUF012 - Textual declares it so
    VERTICAL_BREAKPOINTS = [(0, "-low"), (14, "-middle"), (20, "-high"), (32, "-tall")]  # noqa: RUF012 - Textual declares it so
    CSS = """
    Screen { overflow: hidden; }
    #heading, #bar, #message { height: 1; text-wrap: nowrap; text-overflow: ellipsis; }
    #heading { text-style: bold; }
    #bar { color: $primary; }
    #curves { height: 1fr; }
    Plot { width: 1fr; height: 1fr; margin: 1 1 0 0; }
    #facts, #brief { height: auto; }
    #message { color: $accent; }
    .-narrow #curves { layout: vertical; }
    .-narrow.-middle #accuracy, .-narrow.-high #accuracy, .-narrow.-high #facts, .-middle #facts, .-low #facts, .-low #curves, .-low #message { display: none; }
    .-wide.-high #brief, .-tall #brief { display: none; }
    """

    def __init__(self, monitor: Monitor, work: Work, view: View, shown: float = SHOWN) -> None:
        """The app starts the work and ends with it, after `shown` seconds at the earliest unless it was stopped."""
        super().__init__(ansi_color=True if "NO_COLOR" in os.environ else None)
        self.register_theme(_THEME)
        self.theme = _THEME.name
        self.monitor, self._work, self._view = monitor, work, view
        self._shown = shown
        self._began = self._drawn = 0.0
        self._seen = ("", "", 0)
        self.printed: list[events.Print] = []
        """What others wrote to stdout and stderr meanwhile."""
        self.pressed = 0
        """How often Ctrl-C was pressed."""
        self.terminated = False
        """Whether the process was told to end."""

    def compose(self) -> ComposeResult:
        """The parts of the screen, from top to bottom."""
        yield Static(id="heading", markup=False)
        yield Static(id="bar", markup=False)
        with Horizontal(id="curves"):
            yield Plot("loss")
            yield Plot("held-out accuracy")
        yield Static(id="brief")
        yield Static(id="facts")
        yield Static(id="message", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin."""
        self.begin_capture_print(self)
        self._began = time.monotonic()
        self._work.start()
        self.set_interval(POLL, self.look)

    def on_print(self, event: events.Print) -> None:
        """Keep what is printed, for when the terminal is free again."""
        self.printed.append(event)

    def on_resize(self) -> None:
        """Draw anew, in the new size."""
        self.call_after_refresh(self.draw)

    def look(self) -> None:
        """Draw what is new, and end where the training has ended."""
        if self._work.over() or self.monitor.state == "paused":
            self._view.serve()
        seen = self.state(), self._view.said, len(self.monitor.records)
        if seen[:2] != self._seen[:2] or (seen != self._seen and time.monotonic() - self._drawn >= FRAME):
            self._seen = seen
            self.draw()
        if self.terminated or self.pressed > 1 or (self._work.over() and self._enough()):
            self.exit()

    def _enough(self) -> bool:
        """True when the end could be seen for a while, or nobody wants to see it."""
        monitor, held = self.monitor, self.monitor.pausing
        return monitor.stopping or monitor.error is not None or (not held and time.monotonic() - self._began >= self._shown)

    def state(self) -> str:
        """What the training does, in a word; what it was asked for, as long as it has not come to it."""
        monitor = self.monitor
        if self._work.over():
            return monitor.state
        if monitor.stopping:
            return "stopping"
        return "pausing" if monitor.pausing and monitor.state != "paused" else monitor.state

    def draw(self) -> None:
        """Draw the monitor's state."""
        if not self.query("#heading"):
            return  # the screen is being taken down
        self._drawn = time.monotonic()
        monitor = self.monitor
        self.query_one("#heading", Static).update(write.heading(monitor, self.state()))
        self.query_one("#bar", Static).update(write.bar(monitor.fraction, self.size.width))
        self.query_one("#loss", Plot).show([(r.step, r.loss) for r in monitor.records[:: len(monitor.records) // MOST + 1]])
        self.query_one("#accuracy", Plot).show(monitor.accuracies[:])
        self.query_one("#message", Static).update("; ".join(filter(None, (HINTS.get(self.state()), self._view.said))))
        self.query_one("#brief", Static).update(write.brief(monitor))
        self.query_one("#facts", Static).update(write.facts(monitor))

    def interrupt(self) -> None:
        """Ctrl-C: the first ends the training after its step, the next ends the dashboard at once."""
        self.pressed += 1
        self.monitor.stop()

    def action_interrupt(self) -> None:
        """Ctrl-C as a key."""
        self.interrupt()

    def action_stop(self) -> None:
        """End the training after its step; the result so far is saved and reported."""
        self.monitor.stop()

    def action_pause(self) -> None:
        """Hold the training after its step, or go on."""
        if self.monitor.pausing:
            self.monitor.resume()
        else:
            self.monitor.pause()

    def action_view(self) -> None:
        """Show the model's graph and kernels in a browser."""
        self._view.ask()
