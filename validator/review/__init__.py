"""A blind review of a run's kept videos: its plan, its answers, its result, and the local page."""
