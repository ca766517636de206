"""Given tokens without detail are merged (HiLo-Token)."""
