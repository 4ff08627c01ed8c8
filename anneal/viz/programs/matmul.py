"""A matrix product in two lines.

The product is a multiplication of two expanded tensors and a sum: nothing of it is ever stored.
own() makes each matrix an input, with memory of its own, so that the random numbers are not part of the graph.
"""

from anneal import Tensor

a, b = Tensor.randn(128, 64).own(), Tensor.randn(64, 96).own()
a @ b
