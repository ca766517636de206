"""Attention by another kernel, or computed once for both guidance branches."""
