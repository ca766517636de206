"""Compiled and fused code with the same arithmetic."""
