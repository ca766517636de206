"""How far an accelerated result is from the baseline's, same prompt and seed.

Frames are float arrays of shape (frames, height, width, 3), RGB in [0, 1].
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

Frames = NDArray[np.floating]

PSNR_CAP_DB = 100.0
"""What identical videos score; their true PSNR is infinite and would swamp any mean."""

WINDOW = 11
_SIGMA = 1.5
_C1 = 0.01**2
_C2 = 0.03**2


def psnr(reference: Frames, other: Frames) -> float:
    """Peak signal-to-noise ratio in dB of the whole video: one error over all its pixels.

    Returns:
        At most `PSNR_CAP_DB`, which identical videos get; NaN if any pixel is.

    Raises:
        ValueError: The shapes differ.
    """
    _check_same_shape(reference, other)
    error = mean_squared_error(reference, other)
    if error <= 10 ** (-PSNR_CAP_DB / 10):
        return PSNR_CAP_DB
    return -10.0 * math.log10(error)


def ssim(reference: Frames, other: Frames) -> float:
    """Structural similarity (Wang et al. 2004): 11x11 Gaussian window, sigma 1.5, no padding.

    Computed per frame and channel, then averaged.

    Raises:
        ValueError: The shapes differ, or a side is shorter than the window.
    """
    _check_same_shape(reference, other)
    if min(reference.shape[1:3]) < WINDOW:
        raise ValueError(f"ssim needs frames of {WINDOW}x{WINDOW} or more: {reference.shape}.")
    scores = [_ssim_of_frame(a, b) for a, b in zip(reference, other, strict=True)]
    return float(np.mean(scores))


def relative_l2(reference: torch.Tensor, other: torch.Tensor) -> float:
    """||other - reference|| / ||reference|| over all elements; for latents.

    Raises:
        ValueError: The shapes differ.
    """
    if reference.shape != other.shape:
        raise ValueError(f"Shapes differ: {tuple(reference.shape)}, {tuple(other.shape)}.")
    size = float(torch.linalg.vector_norm(reference.double()))
    distance = float(torch.linalg.vector_norm(other.double() - reference.double()))
    if size == 0.0:
        return 0.0 if distance == 0.0 else math.inf
    return distance / size


def mean_squared_error(reference: Frames, other: Frames) -> float:
    """The squared difference of equally shaped frames, averaged in double precision."""
    difference = np.subtract(reference, other, dtype=np.float64)
    return float(np.mean(np.square(difference)))


def _ssim_of_frame(reference: Frames, other: Frames) -> float:
    """One plane after the other: all at once spends most of its time on getting the memory."""
    planes = zip(_planes(reference), _planes(other), strict=True)
    return float(np.mean([_ssim_of_plane(x[None], y[None]) for x, y in planes]))


def _ssim_of_plane(x: torch.Tensor, y: torch.Tensor) -> float:
    mean_x, mean_y, xx, yy, xy = map(_blur, (x, y, x * x, y * y, x * y))
    variances = xx - mean_x**2 + yy - mean_y**2
    covariance = xy - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    return float((luminance * (2 * covariance + _C2) / (variances + _C2)).mean())


def _planes(frame: Frames) -> torch.Tensor:
    """(height, width, 3) to (3, 1, height, width); double, as variances cancel badly in single."""
    return torch.from_numpy(np.array(frame, dtype=np.float64)).permute(2, 0, 1)[:, None]


def _blur(planes: torch.Tensor) -> torch.Tensor:
    offsets = torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    weights /= weights.sum()
    columns = functional.conv2d(planes, weights.view(1, 1, WINDOW, 1))
    return functional.conv2d(columns, weights.view(1, 1, 1, WINDOW))


def _check_same_shape(reference: Frames, other: Frames) -> None:
    if reference.shape != other.shape:
        raise ValueError(f"Shapes differ: {reference.shape} and {other.shape}.")
