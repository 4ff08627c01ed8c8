"""Formulas in Einstein's notation, read and planned: which axes meet, and which operands first.

Axes are named by numbers, so that the axes of `...` have names as well: a letter is its code, an axis of `...` is negative, counted from the end.

>>> parse("ij,jk", [(2, 3), (3, 4)])
([[105, 106], [106, 107]], [105, 107])
>>> cheapest([[0, 1], [1, 2], [2, 3]], [0, 3], {0: 100, 1: 100, 2: 100, 3: 1})
(1, 2)
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from anneal.errors import ShapeError, UsageError
from anneal.ir.shape import Dim, Shape, show

_DOTS = "..."


def parse(formula: str, shapes: Sequence[Shape]) -> tuple[list[list[int]], list[int]]:
    """The names of each operand's axes, and of the result's. Raises UsageError, or ShapeError where a term does not fit its operand."""
    inputs, arrow, output = formula.replace(" ", "").partition("->")
    texts = inputs.split(",")
    for text in (*texts, output):
        _check(text, formula)
    if len(texts) != len(shapes):
        raise UsageError(f'einsum: "{formula}" has {len(texts)} operands between commas, but {len(shapes)} tensors were given')
    terms = [_names(text, shape, formula) for text, shape in zip(texts, shapes, strict=True)]
    dots = sorted({n for term in terms for n in term if n < 0})
    if not arrow:
        once = Counter(n for term in terms for n in term if n > 0)
        return terms, [*dots, *sorted(n for n, times in once.items() if times == 1)]
    before, found, after = output.partition(_DOTS)
    wanted = [*map(ord, before), *(dots if found else []), *map(ord, after)]
    known = {n for term in terms for n in term}
    for name in wanted:
        if name not in known:
            raise UsageError(f'einsum: "{formula}" has {chr(name)!r} in the result, but in no operand')
        if wanted.count(name) > 1:
            raise UsageError(f'einsum: "{formula}" has {chr(name)!r} twice in the result: an axis can be there once')
    return terms, wanted


def _check(text: str, formula: str) -> None:
    """Letters of the alphabet, and `...` at most once."""
    letters = text.replace(_DOTS, "", 1)
    wrong = next((c for c in letters if not (c.isascii() and c.isalpha())), None)
    if wrong is not None:
        raise UsageError(f'einsum: {wrong!r} in "{formula}" is not understood: write letters, ",", one "..." an operand, and "->" once')


def _names(text: str, shape: Shape, formula: str) -> list[int]:
    """The names of the axes of one operand."""
    before, dots, after = text.partition(_DOTS)
    more = len(shape) - len(before) - len(after)
    if more < 0 or (more and not dots):
        fewer = "more" if more < 0 else "fewer"
        raise ShapeError(f'einsum: "{text}" in "{formula}" names {fewer} axes than an operand of shape {show(shape)} has')
    return [*map(ord, before), *range(-more, 0), *map(ord, after)]


def sizes(terms: Sequence[Sequence[int]], shapes: Sequence[Shape]) -> dict[int, Dim]:
    """The size of each name; size 1 gives way, except where one operand repeats a name. Raises ShapeError where sizes differ."""
    found: dict[int, Dim] = {}
    for term, shape in zip(terms, shapes, strict=True):
        for i, (name, size) in enumerate(zip(term, shape, strict=True)):
            before = shape[term.index(name)]
            if term.index(name) < i and before != size:
                raise ShapeError(f"einsum: {_shown(name)} is repeated in an operand of shape {show(shape)}, whose axes have sizes {before} and {size}")
            known = found.setdefault(name, size)
            if known == 1:
                found[name] = size
            elif size not in (1, known):
                raise ShapeError(f"einsum: {_shown(name)} has size {known} in one operand and {size} in another, of shape {show(shape)}")
    return found


def _shown(name: int) -> str:
    return repr(chr(name)) if chr(max(0, name)).isalpha() else f"axis {name}"


def cheapest(terms: Sequence[Sequence[int]], wanted: Iterable[int], size: Mapping[int, Dim]) -> tuple[int, int]:
    """Which two operands to multiply first: those whose product, summed over what nobody else needs, is smallest; then the least work."""
    goal = set(wanted)

    def count(names: Iterable[int]) -> int:
        return math.prod(n if isinstance(n, int) else 1 for n in (size[name] for name in names))

    def cost(pair: tuple[int, int]) -> tuple[int, int]:
        together = {*terms[pair[0]], *terms[pair[1]]}
        needed = goal.union(*(term for i, term in enumerate(terms) if i not in pair))
        own = count(terms[pair[0]]) + count(terms[pair[1]])
        return count(together & needed) - own, count(together)

    return min(((a, b) for b in range(len(terms)) for a in range(b)), key=cost)
