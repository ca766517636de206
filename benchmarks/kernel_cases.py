"""What `kernels.py` times: the kernels, and activations of the sizes of real transformers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sol.kernels.gate_residual import gate_residual, gate_residual_reference
from sol.kernels.gate_residual_norm import gate_residual_norm, gate_residual_norm_reference
from sol.kernels.gelu_tanh import gelu_tanh, gelu_tanh_reference
from sol.kernels.modulated_norm import modulated_norm, modulated_norm_reference
from sol.kernels.qk_norm_rotary import qk_norm_rotary, qk_norm_rotary_reference

BATCH = 2
"""Both branches of guidance."""

Function = Callable[..., Any]
Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class Size:
    """A transformer at a workload: what its blocks' activations look like.

    Attributes:
        feed_forward: Width between the two linear layers; None where there is no such GELU.
        modulation: Dtype of scales, shifts and gates.
        heads_share: Whether one rotary table serves all heads; None where queries and keys are
            not normed and rotated alone.
    """

    name: str
    tokens: int
    width: int
    head_width: int
    feed_forward: int | None
    modulation: torch.dtype
    norm: str
    heads_share: bool | None


# Latent frames x rows x columns of a clip, after the autoencoder and the patches.
_LTX_TOKENS = 21 * 15 * 22
_WAN_TOKENS = 21 * 30 * 52
SIZES = (
    Size("LTX 2B, 704x480x161", _LTX_TOKENS, 2048, 64, 8192, torch.bfloat16, "rms", False),
    Size("Wan 1.3B, 832x480x81", _WAN_TOKENS, 1536, 128, 8960, torch.float32, "layer", True),
    Size("Wan 14B, 832x480x81", _WAN_TOKENS, 5120, 128, 13824, torch.float32, "layer", True),
    Size("SANA-Video 2B, 832x480x81", _WAN_TOKENS, 2240, 112, None, torch.bfloat16, "layer", None),
)


@dataclass(frozen=True)
class Kernel:
    """A kernel, its reference, and the part of the copy bandwidth it is to reach."""

    name: str
    operator: Function
    reference: Function
    draw: Callable[[Size, str], Arguments | None]
    target: float | None = None


def _x(size: Size, device: str, width: int | None = None) -> torch.Tensor:
    shape = (BATCH, size.tokens, width or size.width)
    return torch.randn(shape, device=device, dtype=torch.bfloat16)


def _rows(size: Size, device: str, n: int) -> Sequence[torch.Tensor]:
    """Some of the six rows of a block's modulation, as its table gives them."""
    shape = (BATCH, 1, 6, size.width)
    return torch.randn(shape, device=device, dtype=size.modulation).unbind(2)[:n]


def _norm_arguments(size: Size, device: str) -> Arguments:
    return (_x(size, device), *_rows(size, device, 2), None, size.norm, 1e-6)


def _gate_arguments(size: Size, device: str) -> Arguments:
    return (_x(size, device), _x(size, device), *_rows(size, device, 1))


def _chain_arguments(size: Size, device: str) -> Arguments:
    activations = (_x(size, device), _x(size, device))
    return (*activations, *_rows(size, device, 3), None, size.norm, 1e-6)


def _rotary_arguments(size: Size, device: str) -> Arguments | None:
    if size.heads_share is None:
        return None
    alone = (1, size.tokens, 1, size.head_width)
    shape = alone if size.heads_share else (BATCH, size.tokens, size.width)
    angles = torch.randn(shape, device=device)
    weight = torch.ones(size.width, device=device, dtype=torch.bfloat16)
    activations = (_x(size, device), _x(size, device))
    return (*activations, weight, weight, angles.cos(), angles.sin(), 1e-6)


def _gelu_arguments(size: Size, device: str) -> Arguments | None:
    if size.feed_forward is None:
        return None
    bias = torch.randn(size.feed_forward, device=device, dtype=torch.bfloat16)
    return (_x(size, device, size.feed_forward), bias)


KERNELS = (
    Kernel("modulated_norm", modulated_norm, modulated_norm_reference, _norm_arguments, 0.8),
    Kernel("gate_residual", gate_residual, gate_residual_reference, _gate_arguments, 0.8),
    Kernel(
        "gate_residual_norm", gate_residual_norm, gate_residual_norm_reference, _chain_arguments
    ),
    Kernel("qk_norm_rotary", qk_norm_rotary, qk_norm_rotary_reference, _rotary_arguments, 0.7),
    Kernel("gelu_tanh", gelu_tanh, gelu_tanh_reference, _gelu_arguments),
)
