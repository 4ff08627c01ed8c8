"""Draws the dashboard of `anneal train mlp` for the README: a real training, stopped in its middle, with the app's screen as SVG.

python tools/screenshot.py [FILE]    by default docs/images/dashboard.svg
"""

from __future__ import annotations

import asyncio
import re
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from anneal.cli.dashboard import Training
from anneal.cli.dashboard_app import Dashboard
from anneal.cli.dashboard_view import Viewer
from anneal.cli.viz_program import Request
from anneal.examples import EXAMPLES
from anneal.examples.monitor import Monitor, Record
from anneal.examples.program import Program
from anneal.examples.trainer import Trainer, facts, follow
from anneal.runtime.device import get_device

FILE: Final = Path(__file__).parent.parent / "docs" / "images" / "dashboard.svg"
SIZE: Final = (100, 30)
STEPS: Final = (200, 300)
"""The step to draw, and the steps of the training."""
_FONT: Final = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def main() -> None:
    """Train, and write the file."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    picture = asyncio.run(draw())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(picture, encoding="utf-8")
    print(f"wrote {path}")


async def draw() -> str:
    """The screen in the middle of a training, which then is stopped."""
    trainer = Trainer(Program(EXAMPLES["mlp"]), get_device())
    monitor = Monitor(facts(trainer, "sgd"), STEPS[1])
    reached, drawn = threading.Event(), threading.Event()

    def wait(records: Sequence[Record]) -> None:
        if records[-1].step == STEPS[0]:
            reached.set()
            drawn.wait()

    monitor.observers.append(wait)
    training = Training(lambda: follow(trainer, monitor))
    app = Dashboard(monitor, training, Viewer(trainer, lambda: Request.of("mlp", "step")))
    async with app.run_test(size=SIZE) as pilot:
        await asyncio.to_thread(reached.wait)
        app.draw()
        await pilot.pause()
        picture = app.export_screenshot()
        monitor.stop()
        drawn.set()
    training.finish()
    return _FONT.sub("", picture)  # a viewer's own monospaced font will do, and nothing is fetched


if __name__ == "__main__":
    main()
