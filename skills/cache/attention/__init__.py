"""Reuse of attention outputs."""
