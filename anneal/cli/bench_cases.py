"""What `anneal bench` measures, by name.

A computation is a function of tensors, written once: PyTorch's tensors take it too, but for the few that have another name there.

>>> [case.name for case in select(["matmul"])]
['matmul-512', 'matmul-1024']
>>> select(["matmull"])
Traceback (most recent call last):
    ...
anneal.errors.UsageError: no benchmark 'matmull': did you mean 'matmul'? There are add, compile, compile-conv, ...
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final, Literal

from anneal.cli.output import nearest
from anneal.errors import UsageError
from anneal.examples import EXAMPLES

NUMBER: Final = 4
"""Bytes of a float32."""
_SIDE: Final = 2048
_SIZE: Final = "16 MiB"
"""What a matrix of that side takes."""


@dataclass(frozen=True, slots=True)
class Case:
    """A benchmark."""

    name: str
    doc: str
    kind: Literal["compile", "step", "kernel"]
    model: str = ""
    """The example, of a compilation or a step."""
    shapes: tuple[tuple[int, ...], ...] = ()
    """The operands of a computation, filled with random numbers."""
    run: Callable[..., Any] | None = None
    """The computation."""
    peer: Callable[..., Any] | None = None
    """The same of PyTorch's module and tensors, where `run` does not serve."""
    result: int = 0
    """Elements that the computation gives."""
    flops: int = 0

    @property
    def bytes(self) -> int:
        """Bytes to read and to write, each element once."""
        return NUMBER * (sum(map(prod, self.shapes)) + self.result)


def _kernels() -> tuple[Case, ...]:
    count, square = _SIDE * _SIDE, (_SIDE, _SIDE)
    images, filters = (16, 32, 32, 32), (64, 32, 3, 3)
    made = images[0] * filters[0] * images[2] * images[3]
    products = [
        Case(f"matmul-{n}", f"two matrices of {n}×{n}", "kernel", shapes=((n, n),) * 2, run=lambda a, b: a @ b, result=n * n, flops=2 * n**3)
        for n in (512, 1024)
    ]
    return (
        Case("copy", _SIZE, "kernel", shapes=(square,), run=lambda x: x.contiguous(), peer=lambda _, x: x.clone(), result=count),
        Case("add", f"two tensors of {_SIZE}", "kernel", shapes=(square,) * 2, run=lambda x, y: x + y, result=count, flops=count),
        Case("sum", f"{_SIZE} to one number", "kernel", shapes=(square,), run=lambda x: x.sum(), result=1, flops=count),
        Case("sum-0", f"the columns of {_SIDE}×{_SIDE}", "kernel", shapes=(square,), run=lambda x: x.sum(0), result=_SIDE, flops=count),
        Case("sum-1", f"the rows of {_SIDE}×{_SIDE}", "kernel", shapes=(square,), run=lambda x: x.sum(1), result=_SIDE, flops=count),
        Case("softmax", f"each row of {_SIDE}×{_SIDE}", "kernel", shapes=(square,), run=lambda x: x.softmax(1), result=count, flops=5 * count),
        *products,
        Case(
            "conv2d",
            "16 images of 32×32, 32 channels to 64, filters of 3×3",
            "kernel",
            shapes=(images, filters),
            run=lambda x, w: x.conv2d(w, padding=1),
            peer=lambda torch, x, w: torch.nn.functional.conv2d(x, w, padding=1),
            result=made,
            flops=2 * made * prod(filters[1:]),
        ),
    )


CASES: Final[tuple[Case, ...]] = (
    *(Case(f"compile-{name}", f"the training step of {name}", "compile", model=name) for name in EXAMPLES),
    *(Case(f"step-{name}", f"a training step of {name}, {example.batch} rows", "step", model=name) for name, example in EXAMPLES.items()),
    *_kernels(),
)
"""All benchmarks, in the order in which they run."""


def names() -> list[str]:
    """What may be asked for: each benchmark, and the words of their names, such as `matmul` or `mlp`."""
    return list(dict.fromkeys(word for case in CASES for word in (case.name, *_words(case))))


def _words(case: Case) -> list[str]:
    return [word for word in case.name.split("-") if not word.isdigit()]


def select(wanted: Sequence[str]) -> list[Case]:
    """The benchmarks of these names or with these words; all without any. Raises UsageError for an unknown name."""
    for name in wanted:
        if name not in names():
            raise UsageError(f"no benchmark {name!r}: {nearest(name, names())}")
    return [case for case in CASES if not wanted or not {case.name, *_words(case)}.isdisjoint(wanted)]
