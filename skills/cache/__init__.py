"""Reuse between denoising steps."""
