"""torch.compile of blocks or whole denoisers, counted and undone."""
