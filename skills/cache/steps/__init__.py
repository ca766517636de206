"""Caches that leave out whole denoiser calls."""
