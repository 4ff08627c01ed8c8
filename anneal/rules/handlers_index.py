"""Index arithmetic as linear forms: sums of nodes times coefficients, plus a constant.

All functions are about dtype `index`, whose integers do not wrap. A canonical sum is a left-nested chain whose terms are sorted, larger
coefficients first, the constant last; so equal sums are one node, whatever order they were written in.

>>> from anneal.ir.build import variable
>>> x, y = variable("x", 0, 9), variable("y", 0, 9)
>>> canonical_sum(y + x * 4) is x * 4 + y
True
"""

from __future__ import annotations

import math
from typing import Final

from anneal.analysis.bounds import bounds
from anneal.ir.build import const, index
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Op, Ops
from anneal.ir.uop import ARENA, UOp, structural_key
from anneal.rules.handlers import ordered

Terms = dict[UOp, int]
# Longer sums and products stay as they are, so that a chain of any length costs linear time.
_LONGEST: Final = 24
_PRODUCTS: Final = frozenset({Ops.ADD, Ops.MUL, Ops.CONST})
_UNTIDY: Final = frozenset({Ops.ADD, Ops.MOD, Ops.CONST})
# Indices are 32 bits wide on the device: what is divided must not outgrow them. Sums that wrap on the way are harmless.
_SMALL: Final = 1 << 31


def is_below(x: UOp, y: UOp) -> bool:
    """True when `x` is a loop index below `y`."""
    return x.op is Ops.RANGE and x.src[0] is y


def linear(root: UOp, scale: int = 1) -> tuple[Terms, int] | None:
    """`root * scale` as terms with coefficients and a constant; None when it is too long."""
    terms: Terms = {}
    constant, steps = 0, 0
    stack = [(root, scale)]
    while stack:
        node, factor = stack.pop()
        steps += 1
        if node.op is Ops.ADD:
            stack.append((node.src[1], factor))
            stack.append((node.src[0], factor))
        elif node.op is Ops.CONST:
            constant += node.arg * factor
        elif node.op is Ops.MUL and node.src[1].op is Ops.CONST:
            stack.append((node.src[0], factor * node.src[1].arg))
        elif node.op is Ops.MUL and node.src[0].op is Ops.CONST:
            stack.append((node.src[1], factor * node.src[0].arg))
        else:
            _accumulate(terms, node, factor)
        if len(terms) > _LONGEST or steps > 4 * _LONGEST:
            return None
    return terms, constant


def _accumulate(terms: Terms, node: UOp, factor: int) -> None:
    total = terms.get(node, 0) + factor
    if total:
        terms[node] = total
    else:
        terms.pop(node, None)


def _sorted(terms: Terms) -> list[tuple[UOp, int]]:
    return sorted(terms.items(), key=lambda row: (-abs(row[1]), structural_key(row[0])))


def build_sum(terms: Terms, constant: int) -> UOp:
    """The canonical node of a linear form."""
    chain: UOp | None = None
    for node, factor in _sorted(terms):
        term = node if factor == 1 else ARENA.intern(Ops.MUL, dtypes.index, (node, index(factor)))
        chain = term if chain is None else ARENA.intern(Ops.ADD, dtypes.index, (chain, term))
    if chain is None:
        return index(constant)
    return ARENA.intern(Ops.ADD, dtypes.index, (chain, index(constant))) if constant else chain


def _is_tidy(root: UOp) -> bool:
    """True for a canonical sum in which there is nothing to recombine, and for one that is too long; a cheap test, False when in doubt."""
    node = root.src[0] if root.src[1].op is Ops.CONST and root.src[1].arg else root
    bases: dict[UOp, None] = {}
    last_size, last_base = 0, node
    while len(bases) <= _LONGEST:
        term = node.src[1] if node.op is Ops.ADD else node
        base, size = (term.src[0], abs(term.src[1].arg)) if term.op is Ops.MUL and term.src[1].op is Ops.CONST else (term, 1)
        if size < last_size or base.op in _UNTIDY or base in bases or (size == last_size and structural_key(base) > structural_key(last_base)):
            return False
        if node is term:
            return True
        bases[base] = None
        last_size, last_base, node = size, base, node.src[0]
    return True


def canonical_sum(root: UOp) -> UOp | None:
    """A sum with its like terms collected, its division and modulo pairs recombined, and its terms sorted."""
    form = None if _is_tidy(root) else linear(root)
    if form is None:
        return None
    terms, constant = form
    while (pair := _recombination(terms)) is not None:
        remainder, other, whole = pair
        scale = terms.pop(remainder)
        del terms[other]
        added = linear(whole, scale)
        if added is None:
            return None
        for node, factor in added[0].items():
            _accumulate(terms, node, factor)
        constant += added[1]
    return build_sum(terms, constant)


def _recombination(terms: Terms) -> tuple[UOp, UOp, UOp] | None:
    """Two terms and what they make together: x%c and (x//c)*c are x, x%c and ((x//c)%d)*c are x%(c*d)."""
    for node, factor in terms.items():
        if node.op is not Ops.MOD or node.src[1].op is not Ops.CONST or node.src[1].arg <= 0:
            continue
        x, divisor = node.src[0], node.src[1].arg
        quotient = _quotient(x, divisor)
        if terms.get(quotient) == factor * divisor:
            return node, quotient, x
        for other, coefficient in terms.items():
            if coefficient == factor * divisor and other.op is Ops.MOD and other.src[0] is quotient and other.src[1].op is Ops.CONST and other.src[1].arg > 0:
                return node, other, x % (divisor * other.src[1].arg)
    return None


def _quotient(x: UOp, divisor: int) -> UOp:
    """x // divisor in the form that the rules give it."""
    if x.op is Ops.IDIV and x.src[1].op is Ops.CONST and x.src[1].arg > 0:
        return x.src[0] // int(x.src[1].arg * divisor)
    return x // divisor


def canonical_product(root: UOp) -> UOp | None:
    """A product as a flat chain of sorted factors, the constant last; a constant times a sum is distributed over it."""
    left, right = root.src
    if right.op is Ops.CONST and left.op not in _PRODUCTS and right.arg not in (0, 1):
        return None
    factors: list[UOp] = []
    constant = 1
    stack = [root]
    while stack:
        node = stack.pop()
        if node.op is Ops.MUL:
            stack += (node.src[1], node.src[0])
        elif node.op is Ops.CONST:
            constant *= node.arg
        else:
            factors.append(node)
        if len(factors) + len(stack) > _LONGEST:
            return None
    if constant == 0 or not factors:
        return index(constant)
    if len(factors) == 1 and factors[0].op is Ops.ADD:
        form = linear(factors[0], constant)
        return None if form is None else build_sum(*form)
    chain, *others = sorted(factors, key=structural_key)
    for factor in others:
        chain = ARENA.intern(Ops.MUL, dtypes.index, (chain, factor))
    return chain if constant == 1 else ARENA.intern(Ops.MUL, dtypes.index, (chain, index(constant)))


def _interval(terms: Terms, constant: int) -> tuple[int, int] | None:
    """Bounds of a linear form; None when a term has none."""
    low = high = constant
    for node, factor in terms.items():
        bottom, top = bounds(node)
        if bottom is None or top is None:
            return None
        ends = (int(bottom) * factor, int(top) * factor)
        low, high = low + min(ends), high + max(ends)
    return low, high


def _carry(terms: Terms, constant: int, divisor: int) -> int | None:
    """The one value of (terms + constant) // divisor; None when it varies."""
    ends = _interval(terms, constant)
    if ends is None or ends[0] // divisor != ends[1] // divisor:
        return None
    return ends[0] // divisor


def _shared_divisor(terms: Terms, constant: int, candidates: set[int]) -> tuple[int, Terms, int, Terms, int] | None:
    """(g, high, k, low, l) with terms + constant = g*(high + k) + (low + l) and 0 <= low + l < g, for the largest candidate g."""
    for divisor in sorted(candidates, reverse=True):
        high = {n: f // divisor for n, f in terms.items() if f % divisor == 0}
        low = {n: f for n, f in terms.items() if f % divisor}
        times, left = divmod(constant, divisor)
        carry = _carry(low, left, divisor)
        if high and carry is not None:
            return divisor, high, times + carry, low, left - carry * divisor
    return None


def split_div(root: UOp) -> UOp | None:
    """x // c with the multiples of c outside, divided by what is common, and without what cannot carry."""
    form, divisor = linear(root.src[0]), int(root.src[1].arg)
    if form is None:
        return None
    whole, rest, constant, times = _split_multiples(*form, divisor)
    carry = _carry(rest, constant, divisor)
    if carry is not None:
        return build_sum(whole, times + carry)
    shared = _shared_divisor(rest, constant, {math.gcd(f, divisor) for f in rest.values()} - {1})
    if shared is not None:
        common, rest, constant, _, _ = shared
        divisor //= common
    inner = build_sum(rest, constant) // divisor
    _accumulate(whole, inner, 1)
    return build_sum(whole, times)


def split_mod(root: UOp) -> UOp | None:
    """x % c without the multiples of c, with what is common outside, and what cannot carry beside it."""
    form, divisor = linear(root.src[0]), int(root.src[1].arg)
    if form is None:
        return None
    _, rest, constant, _ = _split_multiples(*_without_inner_mod(*form, divisor), divisor)
    carry = _carry(rest, constant, divisor)
    if carry is not None:
        return build_sum(rest, constant - carry * divisor)
    shared = _shared_divisor(rest, constant, {math.gcd(f, divisor) for f in rest.values()} - {1})
    if shared is None:
        return build_sum(rest, constant) % divisor
    common, high, times, low, left = shared
    _accumulate(low, build_sum(high, times) % (divisor // common), common)
    return build_sum(low, left)


def _split_multiples(terms: Terms, constant: int, divisor: int) -> tuple[Terms, Terms, int, int]:
    """(whole, rest, k, n) with terms + constant = divisor*(whole + n) + rest + k; what leaves a remainder above 1 stays whole in the rest.

    Division and modulo of one node split alike, so that they can be recombined.
    """
    whole: Terms = {}
    rest: Terms = {}
    for node, factor in terms.items():
        times, left = divmod(factor, divisor)
        if left == 0 or (left == 1 and factor > 1):
            whole[node] = times
            if left:
                rest[node] = left
        else:
            rest[node] = factor
    times, left = divmod(constant, divisor)
    if left == 0 or _carry(rest, left, divisor) is not None:
        return whole, rest, left, times
    return whole, rest, constant, 0


def _without_inner_mod(terms: Terms, constant: int, divisor: int) -> tuple[Terms, int]:
    """The same modulo `divisor`, where a term (y % m)*k is y*k if `divisor` divides m*k and the sum stays small."""
    for node, factor in list(terms.items()):
        if node.op is not Ops.MOD or node.src[1].op is not Ops.CONST or not node.src[1].arg or node.src[1].arg * factor % divisor:
            continue
        if (inner := linear(node.src[0], factor)) is None:
            continue
        changed = {n: f for n, f in terms.items() if n is not node}
        for part, coefficient in inner[0].items():
            _accumulate(changed, part, coefficient)
        ends = _interval(changed, constant + inner[1])
        if ends is not None and ends[0] >= -_SMALL and ends[1] < _SMALL:
            terms, constant = changed, constant + inner[1]
    return terms, constant


def compare_sums(root: UOp) -> UOp | None:
    """x < y or x == y with like terms on one side, divided by what is common, without what cannot carry."""
    left, right = linear(root.src[0]), linear(root.src[1], -1)
    if left is None or right is None:
        return None
    terms, constant = left[0], left[1] + right[1]
    for node, factor in right[0].items():
        _accumulate(terms, node, factor)
    if not terms:
        return const(constant < 0 if root.op is Ops.LT else constant == 0, dtypes.bool)
    common = math.gcd(*terms.values())
    if root.op is Ops.EQ and constant % common:
        return const(False, dtypes.bool)
    terms, constant = {n: f // common for n, f in terms.items()}, constant // common
    if root.op is Ops.EQ:
        return _equal(terms, constant)
    while (shared := _shared_divisor(terms, constant, {abs(f) for f in terms.values()} - {1})) is not None:
        terms, constant = shared[1], shared[2]
    return _below(terms, constant)


def _sides(terms: Terms) -> tuple[Terms, Terms]:
    return {n: f for n, f in terms.items() if f > 0}, {n: -f for n, f in terms.items() if f < 0}


def _below(terms: Terms, constant: int) -> UOp:
    """terms + constant < 0 with positive coefficients only, the constant alone or on the right."""
    plus, minus = _sides(terms)
    if not plus:
        return _compare(Ops.LT, index(constant), build_sum(minus, 0))
    return _compare(Ops.LT, build_sum(plus, 0), build_sum(minus, -constant))


def _equal(terms: Terms, constant: int) -> UOp:
    """terms + constant == 0 with positive coefficients only, the first term's sign taken as positive."""
    if _sorted(terms)[0][1] < 0:
        terms, constant = {n: -f for n, f in terms.items()}, -constant
    plus, minus = _sides(terms)
    node = _compare(Ops.EQ, build_sum(plus, 0), build_sum(minus, -constant))
    return ordered(node) or node


def _compare(op: Op, left: UOp, right: UOp) -> UOp:
    return ARENA.intern(op, dtypes.bool, (left, right))
