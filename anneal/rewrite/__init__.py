"""The rewrite engine: the `.upat` language, its compiler into flat match functions, and the iterative drivers."""
