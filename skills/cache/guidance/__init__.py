"""Reuse between the guidance branches."""
