"""A coarser grid in the first steps of a video (DVG)."""
