"""The graph: dtypes, ops, interned nodes, text, checks, and the meaning of each op in plain Python."""
