"""Search in a graph: nodes by op, shape, dtype, phase, name, rule and module.

A value is compared as it is written, with `*` for anything: `op=reduce_*`, `module=layers.*`. A shape is sizes joined by `x`, each of which may
be `*`; `()` is the shape of a single number.

>>> parse("op=add,shape=64x*")
{'op': 'add', 'shape': '64x*'}
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Final

from anneal.errors import UsageError, meant
from anneal.ir.dtype import ALL
from anneal.ir.ops import ALL_OPS, Ops
from anneal.ir.shape import shape
from anneal.ir.uop import UOp, is_const
from anneal.rules import GRADIENT_NAMES, NAMES
from anneal.view.nodes import Nodes
from anneal.view.phases import ORDER

MATMUL: Final = "matmul"
"""No op, but searched for as one: a sum of products, as a product of matrices is written."""
KEYS: Final = ("op", "shape", "dtype", "phase", "name", "rule", "module")
"""What nodes can be searched by."""


def parse(text: str) -> dict[str, str]:
    """The criteria of `key=value,key=value`; raises UsageError for what is no criterion."""
    criteria: dict[str, str] = {}
    for part in text.split(","):
        key, equals, value = (p.strip() for p in part.partition("="))
        if not equals or not value:
            raise UsageError(f"--find {text!r}: {part.strip()!r} is no criterion; write for example op=reduce_axis,shape=64x10; keys are {', '.join(KEYS)}")
        if key in criteria:
            raise UsageError(f"--find {text!r} has two criteria for {key}")
        criteria[key] = value
    return criteria


def matching(nodes: Nodes, criteria: Mapping[str, str]) -> list[UOp]:
    """The nodes that meet all criteria, by number; raises UsageError for a key or value that cannot be."""
    for key, value in criteria.items():
        if key not in KEYS:
            raise UsageError(f"nodes have no {key!r}: {_hint(key, KEYS)} {', '.join(KEYS)}")
        if key == "shape":
            _check_shape(nodes, value)
        known = _KNOWN[key](nodes) if key in _KNOWN else _VALUES.get(key)
        if known and not any(fnmatchcase(name, value) for name in known):
            listed = f"{len(known)}, which anneal explain --rules lists" if key == "rule" else ", ".join(sorted(known))
            raise UsageError(f"no {key} {value!r}: {_hint(value, known)} {listed}")
    return [u for u in nodes.order if all(_TESTS[key](nodes, u, value) for key, value in criteria.items())]


def _check_shape(nodes: Nodes, value: str) -> None:
    """Raise UsageError for what is no shape."""
    symbols = {_dim(d) for u in nodes.order for d in shape(u) if isinstance(d, UOp)}
    for dim in [] if value == "()" else value.split("x"):
        if not (dim.isdecimal() or dim == "*" or dim in symbols):
            raise UsageError(f"no shape {value!r}: {dim!r} is no size; write sizes joined by x, * for any, as in 64x*, or () for a single number")


def _rules(nodes: Nodes) -> frozenset[str]:
    """Every rule, and the passes' own steps that were seen."""
    return frozenset((*NAMES, *GRADIENT_NAMES.values(), *nodes.history.words, *(u.rule for u in nodes.order if u.rule is not None)))


def _modules(nodes: Nodes) -> frozenset[str]:
    """Every module of the program, and what holds them."""
    paths = [path.split(".") for path in {nodes.module(u) for u in nodes.order} if path is not None]
    return frozenset(".".join(path[:end]) for path in paths for end in range(1, len(path) + 1)) | frozenset(nodes.kinds)


def _hint(name: str, names: Iterable[str]) -> str:
    question = meant(name, sorted(names))
    return f"{question} There are" if question else "there are"


def _op(_: Nodes, node: UOp, value: str) -> bool:
    return _is_matmul(node) if value == MATMUL else fnmatchcase(node.op.name, value)


def _is_matmul(node: UOp) -> bool:
    """True for a sum of products of two values that are no constants."""
    sums = node.op in (Ops.REDUCE_AXIS, Ops.REDUCE) and Ops.ADD in (node.arg if isinstance(node.arg, tuple) else (node.arg,))
    return sums and node.src[0].op is Ops.MUL and not any(is_const(s) for s in node.src[0].src)


def _shape(_: Nodes, node: UOp, value: str) -> bool:
    dims = [] if value == "()" else value.split("x")
    have = shape(node)
    return len(dims) == len(have) and all(want == "*" or want == _dim(d) for want, d in zip(dims, have, strict=True))


def _dim(dim: object) -> str:
    return str(dim.arg[0]) if isinstance(dim, UOp) and dim.op is Ops.VARIABLE else str(dim)


def _rule(nodes: Nodes, node: UOp, value: str) -> bool:
    maker = nodes.history.maker(node)
    return any(name is not None and fnmatchcase(name, value) for name in (node.rule, maker and maker.by))


def _module(nodes: Nodes, node: UOp, value: str) -> bool:
    module = nodes.module(node)
    return module is not None and (fnmatchcase(module, value) or module.startswith(f"{value}."))


_VALUES: Final[dict[str, frozenset[str]]] = {
    "op": frozenset({op.name for op in ALL_OPS} | {MATMUL}),
    "dtype": frozenset(d.name for d in ALL),
    "phase": frozenset(ORDER),
}
_KNOWN: Final[dict[str, Callable[[Nodes], frozenset[str]]]] = {"rule": _rules, "module": _modules}
_TESTS: Final[dict[str, Callable[[Nodes, UOp, str], bool]]] = {
    "op": _op,
    "shape": _shape,
    "dtype": lambda _, node, value: fnmatchcase(node.dtype.name, value),
    "phase": lambda _, node, value: fnmatchcase(node.phase, value),
    "name": lambda nodes, node, value: fnmatchcase(nodes.name(node) or "", value),
    "rule": _rule,
    "module": _module,
}
