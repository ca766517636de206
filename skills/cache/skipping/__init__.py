"""What the caches of whole calls and of runs of blocks share."""
