"""Layer normalisation: mean and variance of each row, then scale and shift.

The same as nn.LayerNorm, written out, so that each line can be found in the graph.
"""

from anneal import Tensor

x = Tensor.randn(64, 256).own()
weight = Tensor.ones(256).own()
bias = Tensor.zeros(256).own()

centred = x - x.mean(-1, keepdim=True)
variance = (centred * centred).mean(-1, keepdim=True)
centred / (variance + 1e-5).sqrt() * weight + bias
