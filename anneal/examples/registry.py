"""The models that come with the package, by name.

>>> sorted(EXAMPLES)
['conv', 'mlp']
"""

from __future__ import annotations

from typing import Final

from anneal.examples import conv, mlp
from anneal.examples.example import Example

EXAMPLES: Final[dict[str, Example]] = {e.name: e for e in (mlp.EXAMPLE, conv.EXAMPLE)}
