"""Pictures that commands draw beside what they print: PNG or SVG by the file's ending, the same bytes for the same data, whole or not at all.

>>> kind_of("curves.SVG")
'svg'
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from anneal.errors import AnnealError, UsageError
from anneal.formats import atomic
from anneal.view.phases import COLOURS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS: Final = ("png", "svg")
PALETTE: Final = (COLOURS["forward"], COLOURS["backward"], COLOURS["fused"], "#8A7FE0", "#5CB85C", COLOURS["update"])
_METADATA: Final[dict[str, dict[str, Any]]] = {"svg": {"Date": None}, "png": {"Software": None}}
"""What Matplotlib would write of the hour and of itself."""


def kind_of(output: str) -> str:
    """The kind of picture that a file's name asks for."""
    kind = Path(output).suffix.removeprefix(".").lower()
    if kind not in KINDS:
        raise UsageError(f"cannot write {output}: name a file that ends in .{' or .'.join(KINDS)}")
    return kind


def check(output: str) -> None:
    """Raise for a picture that could not be drawn and written, before the work that it is to show."""
    kind_of(output)
    if not Path(output).absolute().parent.is_dir():
        raise UsageError(f"cannot write {output}: there is no folder {Path(output).absolute().parent}")
    try:
        import matplotlib.figure  # noqa: F401 - to know that it can be imported
    except ImportError as error:
        what = f"pictures need matplotlib ({error}): pip install 'anneal-compiler[plot]'"
        raise AnnealError(f"{what}; without --output everything is shown here") from error


def write(output: str, draw: Callable[[Figure], None], height: float) -> None:
    """Draw on a figure so many inches high and write it; raises AnnealError where it cannot be written."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    kind, data = kind_of(output), io.BytesIO()
    with mpl.rc_context({**mpl.rcParamsDefault, "svg.hashsalt": "anneal"}):
        figure = Figure(figsize=(8, height), dpi=120, layout="constrained")
        draw(figure)
        figure.savefig(data, format=kind, metadata=_METADATA[kind])
    try:
        atomic.write(output, data.getvalue())
    except OSError as error:
        raise AnnealError(f"cannot write {output}: {error.strerror or error}") from error
