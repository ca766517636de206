"""Other libraries' caches behind Sol's contract."""
