"""What a kernel is called: its reductions, what follows them, and the shape of what it stores.

A name is a valid identifier and comes from structure alone, so a program has the same names in every process. It says what is done
(`matmul_add_relu_64x128`: a product of matrices, a bias, a ReLU), not which part of the user's model it is.

>>> from anneal import Target, Tensor, compile
>>> a, b, c = Tensor([[1.0] * 16] * 8), Tensor([[1.0] * 4] * 16), Tensor([1.0] * 4)
>>> [k.name for k in compile((a @ b + c).relu(), target=Target.portable()).kernels]
['matmul_add_relu_8x4']
"""

from __future__ import annotations

from typing import Final

from anneal.analysis.bounds import hi
from anneal.ir.graph import toposort
from anneal.ir.ops import Ops
from anneal.ir.shape import Shape, shape
from anneal.ir.uop import UOp, is_const
from anneal.schedule.facts import elements
from anneal.schedule.kernels import Body

MOST: Final = 4
"""Words of a name for what is computed."""
_SILENT: Final = frozenset({Ops.CAST, Ops.BITCAST, Ops.LT, Ops.EQ, Ops.AND, Ops.OR, Ops.XOR})
"""Operations that prepare others, and are named only where nothing else is."""
_REDUCTIONS: Final = {"add": "sum", "mul": "prod"}


def kernel_name(body: Body) -> str:
    """What a kernel is: its reductions and what follows the last, or its operations where it reduces nothing, and the shape it stores."""
    words = _words(body)
    if len(words) > MOST:
        words = [*words[: MOST - 1], words[-1]]
    if any(root.op is Ops.ASSIGN for root in body.roots):
        words = [*(w for w in words if w in _reduced(body)), "update"]
    largest = max(body.roots, key=lambda root: elements(shape(root)))
    dims = [str(d) for d in ints(shape(largest)) if d != 1]
    return "_".join([*words, *(["x".join(dims)] if dims else [])])


def ints(dims: Shape) -> tuple[int, ...]:
    """A shape in numbers; a symbolic size at its largest."""
    return tuple(d if isinstance(d, int) else int(hi(d) or 0) for d in dims)


def _words(body: Body) -> list[str]:
    """The operations worth a word, in order, each once."""
    reductions = [i for i, u in enumerate(body.nodes) if u.op is Ops.REDUCE_AXIS]
    after = body.nodes[reductions[-1] + 1 :] if reductions else body.nodes
    tail = [u for u in after if u.op is Ops.GATHER or (u.op.elementwise and u.op not in _SILENT)]
    floats = [u for u in tail if u.dtype.is_float]  # integers beside floats are places, mostly
    found = list(dict.fromkeys([*_reduced(body), *map(_word, floats or tail)]))
    silent = [u.op.name for u in body.nodes if u.op in _SILENT]
    return found or silent[-1:] or ["copy"]


def _reduced(body: Body) -> list[str]:
    return list(dict.fromkeys(_reduction(u) for u in body.nodes if u.op is Ops.REDUCE_AXIS))


def _reduction(node: UOp) -> str:
    """What a reduction is: a convolution or a product of matrices, or the operation that it combines with."""
    name = str(node.arg[0].name)
    operand, undone = _through_movement(node.src[0])
    if node.arg[0] is Ops.ADD and operand.op is Ops.MUL and operand.src[0] is not operand.src[1]:
        moves = [_through_movement(factor)[1] for factor in operand.src]
        if Ops.UNSHEAR in undone:
            return "conv_transpose"
        if any(Ops.SHEAR in m for m in moves):
            return "conv"
        if any(Ops.EXPAND in m for m in moves):
            return "matmul"
    return _REDUCTIONS.get(name, name)


def _through_movement(node: UOp) -> tuple[UOp, set[object]]:
    """The value below movement ops, and which ops those are."""
    passed: set[object] = set()
    while node.op.category == "movement":
        passed.add(node.op)
        node = node.src[0]
    return node, passed


def _word(node: UOp) -> str:
    """What an operation is: a `where` that puts 0 for what its condition compares is a ReLU."""
    if node.op is Ops.WHERE and is_const(node.src[1], 0):
        compared = [u for u in toposort(node.src[0], enter=lambda u: u.op in (Ops.OR, Ops.AND)) if u.op.compares]
        if compared and all(node.src[2] in u.src for u in compared):
            return "relu"
    return node.op.name
