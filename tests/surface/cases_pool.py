"""Cases of the surface: pool."""

from __future__ import annotations

from typing import Final

from surface import Case

CASES: Final[tuple[Case, ...]] = ()
