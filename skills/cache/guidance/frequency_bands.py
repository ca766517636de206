"""Weighting the low and the high spatial frequencies of a latent video."""

from __future__ import annotations

import torch

# FasterCache's split: low are the frequencies within a fifth of the shorter side's.
_LOW_RADIUS_SHARE = 5


def weight_bands(grid: torch.Tensor, low_gain: float, high_gain: float) -> torch.Tensor:
    """Multiplies the low frequencies over height and width by one gain, the high by another.

    Args:
        grid: (batch, channels, frames, height, width), of any floating type.

    Returns:
        The same shape and type.
    """
    if low_gain == high_gain:
        return grid * high_gain
    spectrum = torch.fft.fft2(grid.float())
    is_low = low_frequencies(grid.shape[-2], grid.shape[-1], grid.device)
    spectrum *= torch.where(is_low, low_gain, high_gain)
    weighted: torch.Tensor = torch.fft.ifft2(spectrum).real
    return weighted.to(grid.dtype)


def low_frequencies(height: int, width: int, device: torch.device) -> torch.Tensor:
    """Which of the (height, width) frequencies of an FFT, unshifted, are low."""
    radius = min(height, width) // _LOW_RADIUS_SHARE
    y = torch.fft.fftfreq(height, 1 / height, device=device)
    x = torch.fft.fftfreq(width, 1 / width, device=device)
    is_low: torch.Tensor = y[:, None] ** 2 + x[None, :] ** 2 <= radius**2
    return is_low
