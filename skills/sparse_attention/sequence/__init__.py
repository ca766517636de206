"""The sequence in which tokens are cut into blocks."""
