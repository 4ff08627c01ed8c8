"""From kernels to WGSL: targets, default shapes, lowering to instructions, and text."""
