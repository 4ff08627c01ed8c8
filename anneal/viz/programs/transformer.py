"""A transformer block and the gradients of its parameters.

Attention over 16 positions, then two linear layers, each with a normalisation before it and its
input added after it. Fold and unfold its modules in the graph.
"""

from anneal import Tensor, nn


class Block:
    """A block with one head of attention, for (length, width)."""

    def __init__(self, width: int) -> None:
        self.scale: float = width**-0.5
        self.before = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.between = nn.LayerNorm(width)
        self.wide = nn.Linear(width, 4 * width)
        self.narrow = nn.Linear(4 * width, width)

    def attention(self, x: Tensor) -> Tensor:
        """Each position as a mixture of all."""
        scores = self.query(x) @ self.key(x).transpose(-1, -2) * self.scale
        return scores.softmax(-1) @ self.value(x)

    def __call__(self, x: Tensor) -> Tensor:
        """(length, width) to the same."""
        x = x + self.attention(self.before(x))
        return x + self.narrow(self.wide(self.between(x)).gelu())


block = Block(32)
x = Tensor.randn(16, 32).own()
target = Tensor.randn(16, 32).own()
loss = ((block(x) - target) ** 2).mean()
loss.backward()
[loss, *(p.grad for p in nn.state.get_parameters(block))]
