"""Recurrent layers: RNN, LSTM and GRU over sequences of a known length, and their cells. Names, shapes and initialisation are PyTorch's.

A layer multiplies the whole sequence by its input weights at once; the steps through time are written out one after the other, so a program
has kernels for each. A sequence is (length, batch, features), or (batch, length, features) with `batch_first`; the batch may be missing.

>>> from anneal import Tensor
>>> out, (h, c) = LSTM(3, 4, num_layers=2, bidirectional=True)(Tensor.ones(5, 2, 3))
>>> out.shape, h.shape, c.shape
((5, 2, 8), (4, 2, 4), (4, 2, 4))
>>> GRUCell(3, 4)(Tensor.ones(2, 3)).shape
(2, 4)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from anneal.errors import ShapeError, UsageError
from anneal.ir.shape import show
from anneal.tensor import realize
from anneal.tensor.tensor import Tensor

State = tuple[Tensor, ...]
"""What goes from step to step: the hidden state, and for an LSTM the cell's."""
_NONLINEARITIES: Final[dict[str, Callable[[Tensor], Tensor]]] = {"tanh": Tensor.tanh, "relu": Tensor.relu}


def _parameter(hidden_size: int, *shape: int) -> Tensor:
    """Uniform within 1/sqrt(hidden_size) of 0."""
    bound = 1 / math.sqrt(hidden_size) if hidden_size else 0.0
    return Tensor.uniform(*shape, low=-bound, high=bound, requires_grad=True)


def _gates(sums: Tensor, count: int) -> list[Tensor]:
    """The last axis in parts of equal size."""
    size = realize.sizes(sums.uop)[-1] // count
    return [sums[..., i * size : (i + 1) * size] for i in range(count)]


class _Steps:
    """What a kind of recurrence is: how many gates it has, and how a step is made."""

    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1
    """How many tensors go from step to step."""
    nonlinearity = "tanh"

    def _step(self, inputs: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        """The next state, from inputs that have been multiplied by their weights."""
        return (_NONLINEARITIES[self.nonlinearity](inputs + state[0].linear(weight, bias)),)


class _LSTMSteps(_Steps):
    """Hochreiter and Schmidhuber (1997), with forget gates."""

    gates = 4
    states = 2

    def _step(self, inputs: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        hidden, cell = state
        sums = inputs + hidden.linear(weight, bias)
        # All gates at once, the third through another function: taken apart first, each would be kernels of its own in the backward pass.
        third = (Tensor.arange(realize.sizes(sums.uop)[-1]) // realize.sizes(hidden.uop)[-1]).eq(2)
        enter, forget, new, leave = _gates(third.where(sums.tanh(), sums.sigmoid()), 4)
        cell = (forget * cell + enter * new).contiguous()  # stored beside the hidden state, or each step would compute all cells before it again
        return leave * cell.tanh(), cell


class _GRUSteps(_Steps):
    """Cho and others (2014), with the reset gate after the product, as in PyTorch."""

    gates = 3

    def _step(self, inputs: Tensor, state: State, weight: Tensor, bias: Tensor | None) -> State:
        (hidden,) = state
        own = hidden.linear(weight, bias)
        reset, keep, _ = _gates((inputs + own).sigmoid(), 3)
        new = (_gates(inputs, 3)[2] + reset * _gates(own, 3)[2]).tanh()
        return ((1 - keep) * new + keep * hidden,)


class _Cell(_Steps):
    """What the cells share."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        """Parameters `weight_ih` (gates * hidden, input), `weight_hh` (gates * hidden, hidden), `bias_ih` and `bias_hh`, or None."""
        self.input_size, self.hidden_size = input_size, hidden_size
        rows = self.gates * hidden_size
        self.weight_ih, self.weight_hh = (_parameter(hidden_size, rows, size) for size in (input_size, hidden_size))
        self.bias_ih, self.bias_hh = (_parameter(hidden_size, rows) if bias else None for _ in range(2))

    def __call__(self, x: Tensor, state: Any = None) -> Any:
        """The next state from (batch, input) and the state before, zeros unless given; the batch may be missing."""
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ShapeError(f"{type(self).__name__} needs (batch, {self.input_size}) or ({self.input_size},), not shape {show(x.shape)}")
        wanted = (*x.shape[:-1], self.hidden_size)
        given = _given(type(self).__name__, state, self.states, wanted) or (Tensor.zeros(*wanted, dtype=x.dtype),) * self.states
        new = self._step(x.linear(self.weight_ih, self.bias_ih), given, self.weight_hh, self.bias_hh)
        return new if self.states > 1 else new[0]


class RNNCell(_Cell):
    """One step of a plain recurrence: tanh(x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh)."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh") -> None:
        """With "relu" instead of "tanh" if asked for."""
        self.nonlinearity = _known(nonlinearity)
        super().__init__(input_size, hidden_size, bias)


class LSTMCell(_LSTMSteps, _Cell):
    """One step of an LSTM: from x and (h, c) to (h, c)."""


class GRUCell(_GRUSteps, _Cell):
    """One step of a GRU: from x and h to h."""


def _known(nonlinearity: str) -> str:
    if nonlinearity not in _NONLINEARITIES:
        raise UsageError(f'nonlinearity is "tanh" or "relu", not {nonlinearity!r}')
    return nonlinearity


def _given(what: str, state: Any, count: int, wanted: Sequence[Any]) -> State | None:
    """The state as a tuple, checked."""
    if state is None:
        return None
    tensors: State = (state,) if isinstance(state, Tensor) else tuple(state)
    if len(tensors) != count or any(not isinstance(t, Tensor) for t in tensors):
        raise UsageError(f"{what} takes {'a state of two tensors, (h, c)' if count > 1 else 'one tensor as its state'}")
    for tensor in tensors:
        if tensor.shape != tuple(wanted):
            raise ShapeError(f"{what}: the state has shape {show(tuple(wanted))}, not {show(tensor.shape)}")
    return tensors


class _Recurrent(_Steps):
    """What the layers share."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        """Parameters `weight_ih_l0`, `weight_hh_l0`, `bias_ih_l0`, `bias_hh_l0`, then those of `_l0_reverse`, `_l1` and so on.

        `dropout` works in training on what goes from layer to layer.
        """
        if num_layers < 1 or not 0 <= dropout <= 1:
            raise UsageError(f"num_layers is at least 1 and dropout from 0 to 1: {num_layers}, {dropout}")
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, dropout, bidirectional
        rows, ways = self.gates * hidden_size, 1 + bidirectional
        for name in self._names():
            width = input_size if name.startswith("l0") else ways * hidden_size
            vars(self)[f"weight_ih_{name}"] = _parameter(hidden_size, rows, width)
            vars(self)[f"weight_hh_{name}"] = _parameter(hidden_size, rows, hidden_size)
            if bias:
                vars(self)[f"bias_ih_{name}"] = _parameter(hidden_size, rows)
                vars(self)[f"bias_hh_{name}"] = _parameter(hidden_size, rows)

    def _names(self) -> list[str]:
        """What ends the names of parameters: one a layer and direction."""
        ways = ("", "_reverse") if self.bidirectional else ("",)
        return [f"l{layer}{way}" for layer in range(self.num_layers) for way in ways]

    def __call__(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        """The last layer's hidden states (length, batch, directions * hidden), and each layer's and direction's last state.

        The state before, zeros unless given, is (layers * directions, batch, hidden), for an LSTM two of these.
        """
        name = type(self).__name__
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            order = "(batch, length, " if self.batch_first else "(length, batch, "
            raise ShapeError(f"{name} needs {order}{self.input_size}), or (length, {self.input_size}), not shape {show(x.shape)}")
        if x.ndim == 2:
            given = _given(name, state, self.states, (len(self._names()), self.hidden_size))
            out, last = self._run(x.unsqueeze(1), given and tuple(t.unsqueeze(1) for t in given))
            return out.squeeze(1), self._as_given(tuple(t.squeeze(1) for t in last))
        sequence = x.transpose(0, 1) if self.batch_first else x
        given = _given(name, state, self.states, (len(self._names()), sequence.shape[1], self.hidden_size))
        out, last = self._run(sequence, given)
        return out.transpose(0, 1) if self.batch_first else out, self._as_given(last)

    def _as_given(self, state: State) -> Any:
        return state if self.states > 1 else state[0]

    def _run(self, x: Tensor, given: State | None) -> tuple[Tensor, State]:
        """All layers, over (length, batch, features)."""
        length, batch, _ = realize.sizes(x.uop)
        if not length:
            raise ShapeError(f"{type(self).__name__} needs a sequence of at least one step, not shape {show(x.shape)}")
        ways, last = 1 + self.bidirectional, list[State]()
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = x.dropout(self.dropout)
            found = []
            for way in range(ways):
                at = layer * ways + way
                zeros = Tensor.zeros(batch, self.hidden_size, dtype=x.dtype)
                state = tuple(t[at] for t in given) if given else (zeros,) * self.states
                steps, state = self._layer(x, self._names()[at], state, backwards=bool(way))
                found.append(Tensor.stack(*steps))
                last.append(state)
            x = found[0] if ways == 1 else Tensor.cat(*found, dim=-1)
        return x, tuple(Tensor.stack(*parts) for parts in zip(*last, strict=True))

    def _layer(self, x: Tensor, name: str, state: State, *, backwards: bool) -> tuple[list[Tensor], State]:
        """The hidden state after each step, and the last state."""
        own = vars(self)
        inputs = x.linear(own[f"weight_ih_{name}"], own.get(f"bias_ih_{name}"))
        steps = list(range(len(x)))
        hidden: dict[int, Tensor] = {}
        for at in reversed(steps) if backwards else steps:
            state = self._step(inputs[at], state, own[f"weight_hh_{name}"], own.get(f"bias_hh_{name}"))
            hidden[at] = state[0]
        return [hidden[at] for at in steps], state


class RNN(_Recurrent):
    """A plain recurrence: tanh(x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        """As the other layers, with "relu" instead of "tanh" if asked for."""
        self.nonlinearity = _known(nonlinearity)
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)


class LSTM(_LSTMSteps, _Recurrent):
    """Long short-term memory; its state is (h, c)."""


class GRU(_GRUSteps, _Recurrent):
    """Gated recurrent units; its state is h."""
