"""Softmax, spelled out: three passes over each row become one kernel.

The largest of each row, the sum of the exponentials, and the division: see where each value is kept
and why in the Kernels pane.
"""

from anneal import Tensor

scores = Tensor.randn(64, 128).own()
largest = scores.max(-1, keepdim=True)
exponentials = (scores - largest).exp()
exponentials / exponentials.sum(-1, keepdim=True)
