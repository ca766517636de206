"""Running the blocks on some of the tokens only."""
