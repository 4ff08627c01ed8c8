"""A rule seen at work: the clearest of its instances on which it fires, alone, with names for its inputs.

Instances are drawn in a fixed order, so a rule always shows the same one. Best is one where no other rule of its table would be faster, then one without
odd numbers and repeated inputs, then a short one.

>>> from anneal.view.instances import statements
>>> found = firing(next(s for s in statements() if s.name == "double"))
>>> expression(found.before, found.names), expression(found.after, found.names)
('x + x', 'x*2')
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final, NamedTuple

from anneal import rules
from anneal.ir.build import broadcast_to
from anneal.ir.dtype import dtypes
from anneal.ir.graph import substitute, toposort
from anneal.ir.ops import Ops
from anneal.ir.shape import shape
from anneal.ir.uop import ARENA, UOp
from anneal.rewrite.engine import rewrite
from anneal.rewrite.upat import Statement
from anneal.view.expression import expression
from anneal.view.instances import Draft, alone, fill
from anneal.view.instances_tensor import Maker

_TRIES: Final = 2000
_ENOUGH: Final = 40
_LARGE: Final = 100.0
_INPUTS: Final = frozenset({Ops.VARIABLE, Ops.PARAM, Ops.RANGE})
_ODD: Final = frozenset({dtypes.uint32, dtypes.float16, dtypes.bfloat16})
_OF_TENSORS: Final = ("after_autodiff", *rules.TENSOR)
_LETTERS: Final = "xyzpqabdefhijklmnorstuvw"


class Firing(NamedTuple):
    """What a rule made of one node."""

    before: UOp
    after: UOp
    names: dict[UOp, str]
    """What each input is called: as in the rule where the rule names it."""


def firing(rule: Statement) -> Firing | None:
    """The clearest firing among the instances drawn for the rule; None where none of them fires."""
    functions, best, fired = alone(rule), None, 0
    for node, bound in _drawn(rule):
        match = functions[node.op](node) if node.op in functions else None
        if match is None:
            continue
        found = Firing(node, match[1], _named(node, bound))
        score = _clutter(rule, found, bound)
        if best is None or score < best[0]:
            best = score, found
        fired += 1
        if fired == _ENOUGH:
            break
    return None if best is None else best[1]


def _drawn(rule: Statement) -> Iterator[tuple[UOp, dict[str, UOp]]]:
    """Instances of the rule, with what its names stand for."""
    source = random.Random(rule.name)  # noqa: S311 - the same instances each time
    for attempt in range(_TRIES):
        if rule.group in rules.SIMPLIFY:
            draft = Draft(source, attempt % 3, 0.35 if attempt % 4 == 3 else 0.0)
            node, bound = fill(rule, draft), draft.names
            if node is not None and (looped := _as_loop(node, bound)) is not None:
                yield looped
        elif rule.group in _OF_TENSORS:
            maker = Maker(source)
            node, bound = maker.draw(rule), maker.names
        else:
            return
        if node is not None:
            yield node, bound


def _as_loop(node: UOp, bound: dict[str, UOp]) -> tuple[UOp, dict[str, UOp]] | None:
    """The same with the first of two named integers as a loop index that stays below the other."""
    whole = [u for u in bound.values() if u.op is Ops.VARIABLE and u.dtype is dtypes.index]
    if len(whole) < 2 or whole[0] is whole[1]:
        return None
    table = {whole[0]: ARENA.intern(Ops.RANGE, dtypes.index, (whole[1],), ("i", "loop"))}
    return substitute(node, table), {name: substitute(u, table) for name, u in bound.items()}


def _named(node: UOp, bound: dict[str, UOp]) -> dict[UOp, str]:
    """Names for the inputs below a node."""
    inputs = [u for u in toposort(node) if u.op in _INPUTS]
    names = {u: name for name, u in bound.items() if u in inputs}
    spare = (letter for letter in _LETTERS if letter not in bound)
    return {u: names.get(u) or next(spare) for u in inputs}


def _clutter(rule: Statement, found: Firing, bound: dict[str, UOp]) -> tuple[bool, bool, int, int]:
    """How far an instance is from showing what the rule is for."""
    table = rules.table(*(rules.SIMPLIFY if rule.group in rules.SIMPLIFY else _OF_TENSORS))
    first = next((m for f in table.functions.get(found.before.op, ()) if (m := f(found.before)) is not None), None)
    unripe = rewrite(found.before.src, table, fix=_same_shape).roots != found.before.src
    nodes = toposort(found.before)
    odd = sum(u.op is Ops.CONST and not isinstance(u.arg, bool) and not abs(u.arg) < _LARGE for u in nodes)
    odd += sum(u.op is Ops.RANGE or u.dtype in _ODD for u in nodes)
    odd += sum(n == 1 for u in found.names for n in shape(u)) + sum(not shape(u) for u in found.names) * (rule.group in _OF_TENSORS)
    odd += len(bound) - len(set(bound.values()))
    odd += sum(u.op is Ops.CONST and abs(u.arg) <= 1 and not isinstance(u.arg, bool) for u in bound.values())
    return first is None or table.names[first[0]] != rule.name, unripe, odd, len(expression(found.before, found.names))


def _same_shape(old: UOp, new: UOp) -> UOp:
    return new if shape(new) == shape(old) else broadcast_to(new, shape(old))
