"""Leaving tokens out: the blocks compute some of them, the others are predicted."""
