"""Which blocks of keys a block of queries attends to."""
