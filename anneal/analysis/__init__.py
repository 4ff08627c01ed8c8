"""Facts about nodes, computed once and kept beside them."""
