"""Cases of the surface: product."""

from __future__ import annotations

from typing import Final

from surface import Case

CASES: Final[tuple[Case, ...]] = ()
