"""What a video needs more of, space or time, seen in a prediction of its clean latents.

DVG (arXiv 2605.21042): motion m_t is the mean magnitude of the optical flow between consecutive
frames, by Lucas and Kanade's least squares over the whole frame, as m / (1 + m); detail m_s is
the share of the frames' energy at half of the highest spatial frequency and beyond.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))
_SOBEL_SCALE = 8.0
_LEAST = 1e-6
_HIGH = 0.5


def demand(x0: Tensor, temperature: float) -> tuple[float, float]:
    """(of space, of time): the softmax of detail and motion, times the temperature.

    Args:
        x0: (batch, channels, frames, height, width); a batch shares its stages.
    """
    x0 = x0.float()
    magnitude = flow_magnitude(x0)
    needs = torch.tensor([detail(x0), magnitude / (1 + magnitude)])
    space, time = torch.softmax(temperature * needs, 0).tolist()
    return space, time


def flow_magnitude(x0: Tensor) -> float:
    """Mean over pairs of frames of |u|, in cells a frame; 0 where there is no pair.

    With f the channel mean of a frame, standardised, the flow u of a pair solves
    (sum of grad f grad f^T) u = -(sum of grad f (f' - f)).
    """
    frames = x0.mean(1)
    if frames.shape[1] == 1:
        return 0.0
    mean, deviation = frames.mean((2, 3), keepdim=True), frames.std((2, 3), keepdim=True)
    frames = (frames - mean) / deviation.clamp(min=_LEAST)
    now, change = frames[:, :-1].flatten(0, 1), frames.diff(dim=1).flatten(0, 1)
    gradient = _gradient(now)
    normal = torch.einsum("naij,nbij->nab", gradient, gradient)
    right = -torch.einsum("naij,nij->na", gradient, change)
    flow = torch.linalg.solve(normal + _LEAST * torch.eye(2).to(normal), right)
    return float(flow.norm(dim=1).mean())


def detail(x0: Tensor) -> float:
    """Share of energy at half of the largest radius in the frequency plane and beyond."""
    mean, deviation = x0.mean((2, 3, 4), keepdim=True), x0.std((2, 3, 4), keepdim=True)
    power = torch.fft.fft2((x0 - mean) / deviation.clamp(min=_LEAST)).abs().square()
    rows, columns = (torch.fft.fftfreq(size, device=x0.device) for size in x0.shape[-2:])
    # 0.5 is the highest frequency of an axis; the plane's corner has both.
    radius = torch.hypot(rows[:, None], columns[None]) / math.hypot(0.5, 0.5)
    high = power[..., radius >= _HIGH].sum()
    return float(high / power.sum().clamp(min=_LEAST))


def _gradient(frames: Tensor) -> Tensor:
    """Sobel's, (n, 2, height, width) of (n, height, width); edges continue beyond the frame."""
    across = torch.tensor(_SOBEL).to(frames) / _SOBEL_SCALE
    kernels = torch.stack([across, across.mT])[:, None]
    padded = functional.pad(frames[:, None], (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(padded, kernels)
