"""Agents, measuring workers, and the loop between them."""
