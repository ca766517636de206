"""Quantised linear layers by torchao's public API."""
