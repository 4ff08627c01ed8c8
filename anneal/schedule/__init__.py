"""From a tensor graph to kernels: what is stored, what is fused, in which order, in which memory."""
