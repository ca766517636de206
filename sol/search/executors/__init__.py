"""Where agents and workers run: in this process, or as Ray actors. Same behaviour."""
