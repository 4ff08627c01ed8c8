"""Reverse-mode differentiation as a pass over the graph."""
