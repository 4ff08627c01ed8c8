"""A machine-learning compiler in pure Python: tensor programs become fused WGSL kernels."""
