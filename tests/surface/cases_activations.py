"""Cases of the surface: activations, and what normalises over an axis."""

from __future__ import annotations

from typing import Final

from surface import Case, given

CASES: Final[tuple[Case, ...]] = (
    Case("relu", lambda x: x.relu(), (given(4, 9),), edges=True, kernels=1),
    Case("softmax", lambda x: x.softmax(-1), (given(4, 33),), kernels=3),
)
