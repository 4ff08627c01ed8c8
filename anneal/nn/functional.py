"""The tensor methods of networks as functions, under PyTorch's names.

>>> from anneal import Tensor
>>> relu(Tensor([-1.0, 2.0])).shape
(2,)
"""

from __future__ import annotations

from anneal.tensor.tensor import Tensor

# Activations.
relu = Tensor.relu
relu6 = Tensor.relu6
leaky_relu = Tensor.leaky_relu
elu = Tensor.elu
celu = Tensor.celu
selu = Tensor.selu
gelu = Tensor.gelu
silu = Tensor.silu
mish = Tensor.mish
softplus = Tensor.softplus
softsign = Tensor.softsign
sigmoid = Tensor.sigmoid
hardsigmoid = Tensor.hardsigmoid
hardswish = Tensor.hardswish
hardtanh = Tensor.hardtanh
logsigmoid = Tensor.logsigmoid
tanh = Tensor.tanh
softmax = Tensor.softmax
log_softmax = Tensor.log_softmax

# Products, convolutions, attention.
linear = Tensor.linear
conv1d = Tensor.conv1d
conv2d = Tensor.conv2d
conv3d = Tensor.conv3d
conv_transpose1d = Tensor.conv_transpose1d
conv_transpose2d = Tensor.conv_transpose2d
conv_transpose3d = Tensor.conv_transpose3d
scaled_dot_product_attention = Tensor.scaled_dot_product_attention

# Pools and sizes.
max_pool1d = Tensor.max_pool1d
max_pool2d = Tensor.max_pool2d
max_pool3d = Tensor.max_pool3d
avg_pool1d = Tensor.avg_pool1d
avg_pool2d = Tensor.avg_pool2d
avg_pool3d = Tensor.avg_pool3d
adaptive_avg_pool1d = Tensor.adaptive_avg_pool1d
adaptive_avg_pool2d = Tensor.adaptive_avg_pool2d
adaptive_avg_pool3d = Tensor.adaptive_avg_pool3d
adaptive_max_pool1d = Tensor.adaptive_max_pool1d
adaptive_max_pool2d = Tensor.adaptive_max_pool2d
adaptive_max_pool3d = Tensor.adaptive_max_pool3d
max_unpool1d = Tensor.max_unpool1d
max_unpool2d = Tensor.max_unpool2d
max_unpool3d = Tensor.max_unpool3d
interpolate = Tensor.interpolate
pad = Tensor.pad

# Normalisation.
batch_norm = Tensor.batch_norm
group_norm = Tensor.group_norm
instance_norm = Tensor.instance_norm
layer_norm = Tensor.layer_norm
rms_norm = Tensor.rms_norm
normalize = Tensor.normalize

# Losses and likeness.
cross_entropy = Tensor.cross_entropy
nll_loss = Tensor.nll_loss
mse_loss = Tensor.mse_loss
l1_loss = Tensor.l1_loss
smooth_l1_loss = Tensor.smooth_l1_loss
huber_loss = Tensor.huber_loss
kl_div = Tensor.kl_div
binary_cross_entropy = Tensor.binary_cross_entropy
binary_cross_entropy_with_logits = Tensor.binary_cross_entropy_with_logits
cosine_similarity = Tensor.cosine_similarity

# Tables.
embedding = Tensor.embedding
one_hot = Tensor.one_hot


def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Elements set to 0 with probability `p` and the others divided by 1 - p, when `training`."""
    with Tensor.train(training):
        return x.dropout(p)
