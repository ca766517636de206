"""A layer in full precision and quantised, of which each call uses one."""

from __future__ import annotations

import torch
from torch import nn

from sol.skills.quantization.corrected_linear import Quantize, quantize_with_care
from sol.skills.quantization.smoothing import smoothing_scales


class SwitchedLinear(nn.Module):
    """Full precision, quantised, or full precision while the activations' peaks are taken.

    The two switches are plain attributes: compiled code has a variant for each of their states,
    and no other.

    Args:
        full: What it stands for: `linear`, or a module that computes gelu(linear(x)).
        quantize: Makes a drop-in for `full` out of `linear`.

    Attributes:
        keeps_original: Whether the weight of `linear` is read while videos are made.
        is_quantized: Which of the two the next call uses.
        is_observing: Whether a call in full precision notes the largest magnitudes of its input.
    """

    peak: torch.Tensor | None

    def __init__(
        self, full: nn.Module, linear: nn.Linear, quantize: Quantize, rank: int, smooth: float
    ) -> None:
        super().__init__()
        self.full = full
        self.keeps_original = bool(smooth)
        self.is_quantized = False
        self.is_observing = False
        # In a tuple, past torch: `full` has it as a submodule already.
        self._make = (linear, quantize, rank)
        self._smooth = smooth
        self.register_buffer("peak", None)
        self.quantized = None if smooth else quantize_with_care(*self._make)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(..., in_features) -> (..., out_features)."""
        if self.is_quantized:
            assert self.quantized is not None, "the activations were not observed"
            output: torch.Tensor = self.quantized(x)
            return output
        if self.is_observing:
            peak = x.detach().abs().amax(dim=tuple(range(x.ndim - 1)))
            self.peak = peak if self.peak is None else torch.maximum(self.peak, peak)
        full: torch.Tensor = self.full(x)
        return full

    def quantize_for_what_was_seen(self) -> None:
        """Quantises with the smoothing that the observed peaks ask for."""
        scales = None  # of a layer that was not called: in a part that something else left out
        if self.peak is not None:
            scales = smoothing_scales(self.peak, self._make[0].weight, self._smooth)
        self.quantized = quantize_with_care(*self._make, scales)

    def forget(self) -> None:
        """Drops what was seen in the last video, and what was made of it."""
        self.peak = None
        if self._smooth:
            self.is_quantized = False
            self.quantized = None
