"""Caches that leave out runs of blocks."""
