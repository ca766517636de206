"""Sparse attention: blocks of keys are left out, or stood for by their mean."""
