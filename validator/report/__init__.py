"""The run report: its data, and the one self-contained page that shows it."""
