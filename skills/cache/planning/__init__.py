"""Schedules and weights from a recorded trajectory."""
