"""What a person sees of graphs and rewrites: expressions, trees, drawings, where a node comes from."""
