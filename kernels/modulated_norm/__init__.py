"""norm(x) * (1 + scale) + shift: how adaptive layer norm enters a transformer block."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from sol.kernels.modulated_norm.reference import modulated_norm_reference
from sol.kernels.operator.arguments import (
    check_activation,
    check_modulation,
    check_norm,
    check_weight,
)
from sol.kernels.operator.registration import register

__all__ = ["OPERATOR", "modulated_norm", "modulated_norm_reference"]


def modulated_norm(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    weight: Tensor | None = None,
    norm: str = "rms",
    eps: float = 1e-6,
) -> Tensor:
    """The norm over the last axis, modulated; computed in float32, rounded once.

    Args:
        x: (batch, tokens, width), any strides.
        scale: Broadcasts to `x`: (batch, 1 or tokens, width). So does `shift`.
        shift: Added after the scale.
        weight: (width,), the norm's own factor, or None.
        norm: "rms" (Zhang and Sennrich 2019) or "layer" (Ba et al. 2016).
        eps: Added to the mean square, or to the variance.

    Returns:
        A new contiguous tensor of the shape and dtype of `x`.

    Raises:
        KernelArgumentError: An argument does not fit.
    """
    return cast(Tensor, OPERATOR(x, scale, shift, weight, norm, eps))


def _check(
    x: Tensor, scale: Tensor, shift: Tensor, weight: Tensor | None, norm: str, eps: float
) -> None:
    check_activation("modulated_norm", "x", x)
    check_modulation("modulated_norm", "scale", scale, x)
    check_modulation("modulated_norm", "shift", shift, x)
    check_weight("modulated_norm", "weight", weight, x)
    check_norm("modulated_norm", norm)


OPERATOR = register(
    "modulated_norm",
    _check,
    modulated_norm_reference,
    "sol.kernels.modulated_norm.triton_kernel",
)
