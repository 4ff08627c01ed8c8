"""Cases of the surface: order."""

from __future__ import annotations

from typing import Final

from surface import Case

CASES: Final[tuple[Case, ...]] = ()
