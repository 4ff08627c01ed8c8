"""A gradient, and the gradient of that gradient.

backward() adds nodes to the same graph, each made by a rule that you can step through. The second
derivative of the sum of x³ is 6x, and the last of the outputs is that.
"""

from anneal import Tensor

x = Tensor([0.5, 1.0, 2.0], requires_grad=True)
y = (x * x * x).sum()
[slope] = y.gradient(x)
[bend] = slope.sum().gradient(x)
[y, slope, bend]
