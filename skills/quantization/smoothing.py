"""Moving the spread of activation channels into the weights (SmoothQuant, arXiv 2211.10438)."""

from __future__ import annotations

import torch

_LEAST = 1e-5


def smoothing_scales(
    activation_peak: torch.Tensor, weight: torch.Tensor, alpha: float
) -> torch.Tensor:
    """s_j = max|X_j|^alpha / max|W_j|^(1 - alpha), equation 4; by it activations are divided.

    Rounded to powers of two: dividing by one and multiplying by it again is exact, so smoothing
    itself changes nothing but what the quantiser sees.

    Args:
        activation_peak: Largest magnitude of each input channel, (in,).
        weight: (out, in).
        alpha: In (0, 1].

    Returns:
        (in,), of the weight's dtype.
    """
    weight_peak = weight.detach().abs().amax(dim=0).float().clamp(min=_LEAST)
    peak = activation_peak.float().clamp(min=_LEAST)
    scales = peak**alpha / weight_peak ** (1 - alpha)
    return torch.exp2(torch.log2(scales).round()).to(weight.dtype)
