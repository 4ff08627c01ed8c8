"""A network that learns digits: a whole training step.

Two linear layers with a ReLU between them, the loss, its gradients and the update of every
parameter become one graph and one plan. Train it in the Train pane; edit anything.
"""

from anneal import Tensor, nn
from anneal.examples import Example, digits


class MLP:
    """Two linear layers with a ReLU between."""

    def __init__(self) -> None:
        self.hidden = nn.Linear(digits.PIXELS, 128)
        self.output = nn.Linear(128, 10)

    def __call__(self, x: Tensor) -> Tensor:
        """(batch, 64) to logits (batch, 10)."""
        hidden = self.hidden(x).relu()
        return self.output(hidden)


Example("mlp", "64 → 128 → 10 with ReLU on handwritten digits", MLP, digits.load, optimizer="sgd", lr=0.2)
