"""The live dashboard of `anneal train`: where it fits, and the training under it.

The training runs in a thread of its own, which alone uses the device; the app in the main thread reads the monitor and asks it to pause
or stop. However it ends, the terminal is as it was before, and what was printed meanwhile is printed then.

>>> fits({"TERM": "dumb"})
False
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from anneal.cli.output import note
from anneal.errors import AnnealError
from anneal.examples.monitor import Monitor
from anneal.examples.trainer import Trainer, follow

if TYPE_CHECKING:
    from anneal.cli.dashboard_app import Dashboard
    from anneal.cli.viz_program import Request
    from anneal.cli.viz_server import Server


def fits(environment: Mapping[str, str] = os.environ) -> bool:
    """True when keys can be read and a whole screen be drawn: all streams are one terminal's, and this process is the one in front of it."""
    streams = (sys.__stdin__, sys.__stdout__, sys.__stderr__)
    if environment.get("TERM") in ("", "dumb") or not all(s is not None and not s.closed and s.isatty() for s in streams):
        return False
    assert sys.__stdin__ is not None
    try:
        return not hasattr(os, "tcgetpgrp") or os.tcgetpgrp(sys.__stdin__.fileno()) == os.getpgrp()
    except OSError:  # it is not the terminal that controls this process
        return False


def run(trainer: Trainer, monitor: Monitor, request: Callable[[], Request]) -> Server | None:
    """Train under the dashboard; returns when the training is over, with what serves the visualizer if it was opened, and raises what training raised.

    `request` says what the visualizer is to show.

    A second Ctrl-C ends the process without waiting for the step, SIGTERM as always; both after the terminal is restored.
    """
    from anneal.cli.dashboard_app import Dashboard
    from anneal.cli.dashboard_view import Viewer

    training, viewer = Training(lambda: follow(trainer, monitor)), Viewer(trainer, request)
    monitor.observers.append(viewer.serve)
    app = Dashboard(monitor, training, viewer)
    with _signals(app):
        app.run(mouse=False)
    for event in app.printed:
        (sys.stderr if event.stderr else sys.stdout).write(event.text)
    for path in viewer.written:
        note(f"anneal: graph and kernels are in {path}")
    if app.terminated:
        signal.raise_signal(signal.SIGTERM)
    if app.pressed > 1 and not training.over():
        note("anneal: interrupted")
        sys.stdout.flush()
        os._exit(1)  # a thread cannot be ended, and Python cannot end in order around one that is inside a driver
    monitor.stop()
    training.finish()
    return viewer.server


class Training:
    """A call in a thread of its own, that can be waited for; what it raises is raised again where it is waited for."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def over(self) -> bool:
        """True when the call has returned or raised."""
        return not self._thread.is_alive()

    def finish(self) -> None:
        """Wait until it is over; raises what it raised."""
        if self._thread.ident is None:
            raise AnnealError("the dashboard could not begin: train with --plain, which prints lines")
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._call()
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            self._error = error


@contextmanager
def _signals(app: Dashboard) -> Iterator[None]:
    """Inside, SIGINT and SIGTERM only tell the app, which ends in its own time."""

    def _interrupt(_: int, __: FrameType | None) -> None:
        app.interrupt()

    def _terminate(_: int, __: FrameType | None) -> None:
        app.terminated = True

    before = {number: signal.signal(number, handler) for number, handler in ((signal.SIGINT, _interrupt), (signal.SIGTERM, _terminate))}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
