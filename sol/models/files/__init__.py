"""Where a model is, what its folder holds, and reading it."""
