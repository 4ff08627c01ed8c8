"""An example's program: the graph of its forward pass, of its gradients, or of a whole training step.

The data are buffers of the program, and an integer tensor says which rows make the batch, so one plan serves every step. The step's
graph is what `train` runs, so what `graph` and `kernels` show is what runs.

>>> from anneal.examples import EXAMPLES
>>> program = Program(EXAMPLES["mlp"], batch=64)
>>> [t.shape for t in program.outputs("backward")]
[(), (128, 64), (128,), (10, 128), (10,)]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from anneal import nn
from anneal.codegen.target import Target
from anneal.errors import UsageError
from anneal.examples.example import Data, Example, make_optimizer
from anneal.export.schema.graph import Part
from anneal.ir.dtype import dtypes
from anneal.ir.ops import Ops
from anneal.ir.shape import show
from anneal.ir.uop import UOp
from anneal.nn.modules import Modules
from anneal.tensor import realize, storage
from anneal.tensor.graph import Known, describe, input_names, know
from anneal.tensor.realize import Program as Traced
from anneal.tensor.storage import Buffer
from anneal.tensor.tensor import Tensor
from anneal.view.graph import Graph


class Program:
    """An example with its parameters, state and data, before anything is computed."""

    def __init__(self, example: Example, *, batch: int | None = None, seed: int = 0, optimizer: str | None = None, lr: float | None = None) -> None:
        """What is None is as the example has it. Raises UsageError for a model without parameters or data that do not fit together."""
        self.example, self.seed = example, seed
        self.batch = example.batch if batch is None else batch
        self.data = Data(*(part if isinstance(part, Tensor) else Tensor(part) for part in example.data()))
        self.rows, self.held = (_rows(self.data[i], self.data[i + 1], what) for i, what in ((0, "the data"), (2, "the held-out data")))
        if not 1 <= self.batch <= self.rows:
            raise UsageError(f"a batch of {self.batch}: {example.name} has {self.rows} rows to learn from, so it may be 1 to {self.rows}")
        for tensor in self.data:
            tensor.own()
        Tensor.manual_seed(seed)
        self.model = example.model()
        for tensor in nn.state.get_state_dict(self.model).values():
            tensor.own()  # statistics that begin as constants are read from memory too, or each step would begin with the constants
        self.parameters = nn.state.get_parameters(self.model)
        if not self.parameters:
            kind = type(self.model).__name__
            raise UsageError(f"{example.name}: the {kind} has no tensor that requires a gradient; keep layers such as nn.Linear as attributes")
        self.optimizer = make_optimizer(example, self.parameters, optimizer, lr)
        self.index = Tensor(list(range(self.batch)), dtype=dtypes.int32)
        """The rows of the batch."""

    def outputs(self, part: Part) -> list[Tensor]:
        """The tensors of a part, unrealised: the model's output; or the loss and a gradient for each parameter; or the loss and all updates."""
        inputs, labels = self.data.inputs[self.index], self.data.labels[self.index]
        if part == "forward":
            return [self.model(inputs)]
        with Tensor.train():
            loss = self._number(self.example.loss(self.model(inputs), labels), "loss")
        self.optimizer.zero_grad()
        loss.backward()
        if part == "backward":
            return [loss, *(p.grad for p in self.parameters if p.grad is not None)]
        statistics = [t for t in nn.state.get_state_dict(self.model).values() if t.uop.op is Ops.ASSIGN]
        return [loss, *self.optimizer.schedule_step(), *statistics]

    def score(self) -> Tensor:
        """The number by which the model is judged, over the held-out rows."""
        return self._number(self.example.score(self.model(self.data.held_inputs), self.data.held_labels), "score")

    def _number(self, value: object, what: str) -> Tensor:
        """What the example's loss or score gave; raises UsageError where that is no tensor of one element."""
        if not isinstance(value, Tensor):
            raise UsageError(f"{self.example.name}: the {what} is to be a tensor of one element, not {type(value).__name__}")
        if value.numel() != 1:
            raise UsageError(f"{self.example.name}: the {what} has shape {show(value.shape)}: reduce it to one element, for example with mean()")
        return value

    def state(self) -> dict[str, Tensor]:
        """Everything that training changes, by name: the model's tensors and the optimiser's."""
        optimizer = self.optimizer.state_dict()
        return {**nn.state.get_state_dict(self.model, "model"), **{f"optimizer.{k}": v for k, v in optimizer.items()}}

    def names(self) -> dict[str, Tensor]:
        """Every buffer of the program, and the gradients that there are by now, by the name that a reader would give it."""
        named = {k.removeprefix("model."): v for k, v in self.state().items()}
        gradients = {f"{k}.grad": v.grad for k, v in named.items() if v.grad is not None}
        return {**named, **gradients, **self.data._asdict(), "batch": self.index}


def _rows(inputs: Tensor, labels: Tensor, what: str) -> int:
    """How many rows a part of the data has."""
    rows = realize.sizes(inputs.uop)[:1]
    if rows != realize.sizes(labels.uop)[:1] or not sum(rows):
        raise UsageError(f"{what}: inputs {show(inputs.shape)} and labels {show(labels.shape)} must have as many rows as each other, at least 1")
    return rows[0]


def trace(outputs: Sequence[Tensor], names: Mapping[str, Tensor] | None = None) -> tuple[Traced, list[str]]:
    """The program of some tensors, and a name for each of its inputs."""
    traced = realize.trace([t.uop for t in outputs])
    return traced, input_names(traced, _buffers(names or {}))


def graph_of(
    outputs: Sequence[Tensor], names: Mapping[str, Tensor], seen: Modules, *, stage: str = "tensor", target: Target | None = None, title: str = ""
) -> Graph:
    """The graph of some tensors after a stage, with names for tensors and what was seen of the user's modules while the program was built.

    Where the program was built inside `anneal.trace()`, and this is called there too, the graph knows which gradient rules made its nodes.
    """
    buffers, known = _known(names, seen)
    return describe([t.uop for t in outputs], stage, target, title=title, buffers=buffers, names=known, modules=seen.places, kinds=seen.kinds)


def known(program: Traced, names: Mapping[str, Tensor], seen: Modules) -> Known:
    """What a reader knows of a traced program, as `graph_of` has it."""
    buffers, nodes = _known(names, seen)
    return know(program, buffers=buffers, names=nodes, modules=seen.places, kinds=seen.kinds)


def _known(names: Mapping[str, Tensor], seen: Modules) -> tuple[dict[Buffer, str], dict[UOp, str]]:
    """Names for buffers and for nodes."""
    results = {tensor.uop: f"{path}()" for tensor, path in reversed(seen.results)}
    return _buffers({**names, **seen.tensors()}), {**results, **{tensor.uop: name for name, tensor in names.items()}}


def _buffers(names: Mapping[str, Tensor]) -> dict[Buffer, str]:
    """The buffers among some tensors, by name; the first name counts."""
    known: dict[Buffer, str] = {}
    for name, tensor in names.items():
        if tensor.uop.op in (Ops.BUFFER, Ops.ASSIGN):
            known.setdefault(storage.buffer_of(storage.base(tensor.uop)), name)
    return known
