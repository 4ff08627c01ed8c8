"""Running a plan that is at hand: compiled earlier, or read from a file.

>>> import anneal
>>> plan = anneal.compile(anneal.Tensor([1.0, 2.0]) * 3, target=anneal.Target.portable())
>>> [result] = execute(anneal.Plan.from_json(plan.to_json()), [5.0, 7.0], device="reference")
>>> result.tolist()
[15.0, 21.0]
"""

from __future__ import annotations

from typing import Any

from anneal.errors import DTypeError, ShapeError, UsageError, number_of
from anneal.ir.shape import show
from anneal.runtime.plan import Plan
from anneal.tensor import realize, storage
from anneal.tensor.storage import Buffer
from anneal.tensor.tensor import Tensor


def execute(plan: Plan, *inputs: Any, device: str | None = None) -> tuple[Tensor, ...]:
    """The outputs of a plan for these inputs: a tensor, or what makes one, for each of `plan.inputs`, in order.

    `device` is a name that `get_device` knows; by default where the inputs are. A tensor whose buffer the plan assigns has the new values
    afterwards, as after `assign`. Raises UsageError, ShapeError or DTypeError for inputs that are not those of the plan, DeviceError where
    the plan does not fit the device.
    """
    if not isinstance(plan, Plan):
        raise UsageError(f"execute runs a plan, not {type(plan).__name__}: anneal.compile makes one, anneal.Plan.from_json reads one")
    if len(inputs) != len(plan.inputs):
        wanted = ", ".join(f"{b.dtype}{show(b.shape)}" for b in plan.inputs)  # type: ignore[arg-type]
        raise UsageError(f"this plan has {number_of(len(plan.inputs), 'input')} ({wanted}), and {len(inputs)} were given")
    tensors = [_fitting(plan, number, value) for number, value in enumerate(inputs)]
    opened = realize.open_device(device or next((t.device for t in tensors if t.device), None))
    values = realize.realize([t.uop for t in tensors], opened.name)
    for number in plan.assigned:
        tensors[number].follow(values[number])
    read = [storage.buffer_of(storage.base(v)) for v in values]
    made = [Buffer(tuple(map(int, b.shape)), b.element) for b in plan.buffers if b.role == "output"]
    for buffer in made:
        buffer.adopt(opened.allocate(buffer.nbytes), opened.name)
    opened.execute(plan, [b.storage for b in (*read, *made)])
    for number in plan.assigned:
        read[number].overwritten()
    buffers = [*read, *made]
    return tuple(Tensor(buffers[place].uop) for place in plan.outputs)


def _fitting(plan: Plan, number: int, value: Any) -> Tensor:
    """The tensor for an input of a plan."""
    wanted = plan.inputs[number]
    tensor = value if isinstance(value, Tensor) else Tensor(value, dtype=wanted.element)
    if tensor.dtype is not wanted.element:
        raise DTypeError(f"input {number} of this plan is {wanted.dtype}, not {tensor.dtype.name}: cast it first")
    if tensor.shape != wanted.shape:
        raise ShapeError(f"input {number} of this plan has shape {show(wanted.shape)}, not {show(tensor.shape)}")  # type: ignore[arg-type]
    return tensor
