"""Two programs compared kernel by kernel.

Kernels are paired by name; then by what they do, whatever their sizes, first where their phases agree. What is left is only in one of the two.

>>> stem("matmul_add_relu_64x128_v2"), stem("sum")
('matmul_add_relu', 'sum')
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final

from anneal.export.schema.kernels import DIFFERENCE_VERSION, Change, Difference, Kernel, Kernels, Pair, Side, Value, What

_SIZES: Final = re.compile(r"(_\d+(x\d+)*)?(_v\d+)?$")


def compare(a: Kernels, b: Kernels, batches: tuple[int | None, int | None] = (None, None)) -> Difference:
    """The document of what differs between two; `batches` are the rows that were asked for."""
    return {
        "schema": "anneal.kernels.difference",
        "version": DIFFERENCE_VERSION,
        "a": _side(a, batches[0]),
        "b": _side(b, batches[1]),
        "pairs": [_pair(x, y) for x, y in paired(a["kernels"], b["kernels"])],
    }


def _side(document: Kernels, batch: int | None) -> Side:
    kernels = document["kernels"]
    return {
        "model": document["model"],
        "part": document["part"],
        "batch": batch,
        "target": document["target"],
        "fingerprint": document["fingerprint"],
        "uops": document["stats"]["uops"],
        "kernels": len(kernels),
        "kernels_fused": sum(len(k["phases"]) > 1 for k in kernels),
        "flops": sum(k["flops"] for k in kernels if isinstance(k["flops"], int)),
        "bytes": sum(k["bytes"] for k in kernels if isinstance(k["bytes"], int)),
        "buffer_bytes": document["stats"]["peak_bytes"],
    }


def stem(name: str) -> str:
    """A kernel's name without sizes."""
    return _SIZES.sub("", name)


def paired(a: Sequence[Kernel], b: Sequence[Kernel]) -> list[tuple[Kernel | None, Kernel | None]]:
    """Each kernel of `a` with that of `b` which does the same work, in the order of `a`; then what only `b` has."""
    partner: dict[int, int] = {}
    taken: set[int] = set()
    keys: tuple[Callable[[Kernel], Hashable], ...] = (
        lambda k: (k["name"], *k["phases"]),
        lambda k: k["name"],
        lambda k: (stem(k["name"]), *k["phases"]),
        lambda k: stem(k["name"]),
    )
    for key in keys:
        free: dict[Hashable, list[int]] = {}
        for j in reversed(range(len(b))):
            if j not in taken:
                free.setdefault(key(b[j]), []).append(j)
        for i, kernel in enumerate(a):
            if i not in partner and free.get(key(kernel)):
                partner[i] = free[key(kernel)].pop()
                taken.add(partner[i])
    found: list[tuple[Kernel | None, Kernel | None]] = [(kernel, b[partner[i]] if i in partner else None) for i, kernel in enumerate(a)]
    return [*found, *((None, kernel) for j, kernel in enumerate(b) if j not in taken)]


def _pair(a: Kernel | None, b: Kernel | None) -> Pair:
    there = b or a
    assert there is not None
    return {
        "a": a["name"] if a else None,
        "b": b["name"] if b else None,
        "phases": there["phases"],
        "changes": _changes(a, b) if a and b else [],
    }


def _changes(a: Kernel, b: Kernel) -> list[Change]:
    """What differs between two kernels."""
    found: list[Change] = []

    def note(what: What, x: Any, y: Any) -> None:
        if x != y:
            found.append({"what": what, "a": x, "b": y})

    note("phases", a["phases"], b["phases"])
    for what, own in _LISTS.items():
        note(what, *_apart(own(a), own(b)))
    note("flops", a["flops"], b["flops"])
    note("bytes", a["bytes"], b["bytes"])
    note("workgroups", a["workgroups"], b["workgroups"])
    note("workgroup_size", a["workgroup_size"], b["workgroup_size"])
    note("wgsl", a["wgsl"], b["wgsl"])
    return found


def _apart(a: Sequence[str], b: Sequence[str]) -> tuple[list[str], list[str]]:
    """What only the one has, and what only the other has; numbers in a text do not tell it from another."""
    keys = [Counter(_NUMBER.sub("#", text) for text in texts) for texts in (a, b)]
    return _only(a, keys[0] - keys[1]), _only(b, keys[1] - keys[0])


def _only(texts: Sequence[str], left: Counter[str]) -> list[str]:
    found = []
    for text in texts:
        key = _NUMBER.sub("#", text)
        if left[key]:
            left[key] -= 1
            found.append(text)
    return found


def _op(text: str) -> str:
    """An operation without its dtype and shape."""
    return text.split(maxsplit=1)[0]


def _name(value: Value) -> str:
    """A value's name without the sizes in its kernel's."""
    maker = value["maker"]
    return value["name"] if maker is None else value["name"].replace(maker, stem(maker))


_NUMBER: Final = re.compile(r"(?<!\w)\d[\d,]*")
_LISTS: Final[dict[What, Callable[[Kernel], list[str]]]] = {
    "ops": lambda kernel: [_op(op) for op in kernel["ops"]],
    "inputs": lambda kernel: [_name(v) for v in kernel["inputs"]],
    "outputs": lambda kernel: [_name(v) for v in kernel["outputs"]],
    "materialised": lambda kernel: [f"{_op(b['value'])}: {b['reason']}" for b in kernel["boundaries"] if b["scope"] == "global"],
}
"""What is compared as a list, in which the order does not matter."""
