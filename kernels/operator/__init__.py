"""What every kernel shares: the rules for its arguments, its registration, and its launch."""
