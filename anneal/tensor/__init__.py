"""The user's tensors: lazy, differentiable, and realised through compiled plans."""
