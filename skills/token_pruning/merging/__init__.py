"""Merging tokens: the blocks compute one in the place of several that are alike."""
