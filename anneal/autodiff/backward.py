"""Reverse-mode differentiation: the gradients of one value, as ordinary nodes of the same graph.

Gradient rules (`rules/gradient.upat`) say what each op gives its operands; this pass walks the graph once, from the root to what is asked
for, adds up what arrives at each node and reduces it to the node's shape. It never cuts a gradient in silence: an op without a rule raises.
Each node it makes has the phase "backward", the name of the rule that made it, and the origin of the forward node it comes from.

A 16-bit float's gradient is float32: it is summed and handed over there, and rounded to 16 bits only to enter a rule that multiplies it
with 16-bit values.

>>> from anneal.ir.dtype import dtypes
>>> x = build.param(0, (3,), dtypes.float32)
>>> [gx] = gradients(build.reshape(build.reduce_axis(Ops.ADD, build.alu(Ops.MUL, x, x), (0,)), ()), [x])
>>> gx, gx.phase, gx.rule
(<add:float32 (mul, mul)>, 'backward', 'accumulate')
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from anneal.errors import GradientError
from anneal.ir import build
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.shape import shape, show
from anneal.ir.uop import ARENA, UOp
from anneal.rewrite import session
from anneal.rules import GRADIENT, GRADIENT_NAMES
from anneal.rules.handlers_gradient import sum_axes, wide

PASS_RULES: Final = {
    "seed": "the gradient of the root, 1 unless one is given",
    "accumulate": "a node that several others read gets the sum of what they give",
    "unbroadcast": "a scalar operand of a larger result gets the sum over all elements",
    "round": "a float32 gradient enters the rule of a 16-bit op",
}
"""What this pass does itself, by the name that its nodes carry where others carry that of a rule in `gradient.upat`."""

# Rules that only move, repeat or add gradients, or that cast themselves: a float32 gradient of a 16-bit node needs no rounding to enter.
_ANY_FLOAT: Final = frozenset({Ops.ADD, Ops.CAST, Ops.REDUCE_AXIS, Ops.GATHER, Ops.CONTIGUOUS, Ops.ASSIGN})

_Pending = dict[UOp, list[UOp]]


def gradients(root: UOp, wrt: Sequence[UOp], seed: UOp | None = None) -> list[UOp | None]:
    """Return the gradient of `root` for each node of `wrt`, of its shape; None where no differentiable path leads to it.

    `root` is a float of one element unless `seed`, the gradient of `root` itself, is given: of root's shape, or a scalar for all of it.
    The gradient has the node's dtype, float32 for 16-bit floats. Raises GradientError for a root that cannot be differentiated, a seed
    that does not fit, and an op without a gradient rule on a path.
    """
    with ARENA.crediting(), session.compiling("backward"):
        ARENA.phase, ARENA.origin, ARENA.rule = "backward", root.origin, "seed"
        return _walk(root, wrt, _seed(root, seed))


def _seed(root: UOp, seed: UOp | None) -> UOp:
    """The gradient of the root, in its shape."""
    dims = shape(root)
    if not root.dtype.is_float:
        raise GradientError(f"cannot differentiate {root.dtype.name} values, which {root.op.name} gives here: only floats have gradients; cast it first")
    if seed is None:
        if any(n != 1 for n in dims):
            raise GradientError(f"cannot differentiate a result of shape {show(dims)} without a seed: reduce it to one element first, for example with sum()")
        return build.broadcast_to(build.const(1, root.dtype), dims)
    if seed.dtype not in (root.dtype, wide(root.dtype)) or shape(seed) not in ((), dims):
        have, need = (f"{u.dtype.name} of shape {show(shape(u))}" for u in (seed, root))
        raise GradientError(f"the gradient handed in is {have}, but the result is {need}: make them alike")
    return build.broadcast_to(seed, dims)


def _walk(root: UOp, wrt: Sequence[UOp], seed: UOp) -> list[UOp | None]:
    """Visit users before operands, with what each node's users gave it."""
    wanted = set(wrt)
    order = toposort(root, enter=lambda u: u.op is not Ops.DETACH)
    active = _active(order, wanted)
    pending: _Pending = {root: [seed]} if root in active else {}
    found: dict[UOp, UOp] = {}
    for node in reversed(order):
        if (given := pending.pop(node, None)) is None:
            continue
        ARENA.origin = node.origin
        g = _total(node, given)
        if node in wanted:
            found[node] = _handed_over(node, g)
        if any(s in active for s in node.src) and node.op is not Ops.DETACH:
            _propagate(node, g, active, pending)
    return [found.get(u) for u in wrt]


def _active(order: Sequence[UOp], wanted: set[UOp]) -> set[UOp]:
    """The nodes from which a path leads to one that is asked for, where no `detach` is in between."""
    active: set[UOp] = set()
    for node in order:
        if node in wanted or (node.op is not Ops.DETACH and any(s in active for s in node.src)):
            active.add(node)
    return active


def _total(node: UOp, given: Sequence[UOp]) -> UOp:
    """The sum of what a node's users gave it, in the order they were visited."""
    if len(given) == 1:
        return given[0]
    ARENA.rule = "accumulate"
    dtype = wide(node.dtype)
    total = build.cast(given[0], dtype)
    for more in given[1:]:
        total = build.alu(Ops.ADD, total, build.cast(more, dtype))
    session.fire("accumulate", node, total)
    return total


def _handed_over(node: UOp, g: UOp) -> UOp:
    ARENA.rule = "accumulate"
    return build.cast(g, wide(node.dtype))


def _propagate(node: UOp, g: UOp, active: set[UOp], pending: _Pending) -> None:
    """Apply the node's gradient rule and hand each operand its part."""
    rule = GRADIENT.get(node.op)
    if rule is None:
        raise GradientError(f"{node.op.name} has no gradient rule, and a gradient reaches it{_where(node)}: detach() its operand to stop it here on purpose")
    if not any(s in active and s.dtype.is_float for s in node.src):
        return
    if g.dtype is not node.dtype and node.op not in _ANY_FLOAT and node.op.category != "movement":
        ARENA.rule = "round"
        g = build.cast(g, node.dtype)
    ARENA.rule = GRADIENT_NAMES[node.op]
    for operand, part in zip(node.src, rule(node, g), strict=True):
        if part is not None and operand in active:
            session.fire(GRADIENT_NAMES[node.op], node, part)
            pending.setdefault(operand, []).append(_fitted(operand, part))


def _where(node: UOp) -> str:
    return f" (at {node.origin[0]}:{node.origin[1]})" if node.origin else ""


def _fitted(operand: UOp, part: UOp) -> UOp:
    """The gradient in the operand's shape: a scalar operand stood for every element of a larger result."""
    if not shape(operand) and (dims := shape(part)):
        ARENA.rule = "unbroadcast"
        part = build.reshape(sum_axes(part, range(len(dims))), ())
        session.fire("unbroadcast", operand, part)
    assert shape(part) == shape(operand), f"a gradient of shape {show(shape(part))} for an operand of shape {show(shape(operand))}"
    assert part.dtype in (operand.dtype, wide(operand.dtype)), f"a gradient of {part.dtype} for an operand of {operand.dtype}"
    return part
