"""Reuse that changes no bit."""
