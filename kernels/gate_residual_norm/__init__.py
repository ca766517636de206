"""The residual stream after one sub-layer, and its norm for the next one, in one pass.

The stream is read by the next residual and its norm by the next sub-layer: without the chain it is
written, read again by the norm, and the norm written.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor

from sol.kernels.gate_residual_norm.reference import gate_residual_norm_reference
from sol.kernels.operator.arguments import (
    check_activation,
    check_like,
    check_modulation,
    check_norm,
    check_weight,
)
from sol.kernels.operator.registration import register

__all__ = ["OPERATOR", "gate_residual_norm", "gate_residual_norm_reference"]


def gate_residual_norm(
    residual: Tensor,
    output: Tensor,
    gate: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    weight: Tensor | None = None,
    norm: str = "rms",
    eps: float = 1e-6,
) -> tuple[Tensor, Tensor]:
    """stream = residual + output * gate, and norm(stream) * weight * (1 + scale) + shift.

    The stream is rounded to its dtype before its norm is taken, so that both outputs are those of
    `gate_residual` followed by `modulated_norm`. Whatever is None is left out: cross-attention is
    added without a gate, and a norm with weight and bias has no scale and its bias as the shift.

    Args:
        residual: (batch, tokens, width), any strides.
        output: What the sub-layer made, of the same shape.
        gate: Broadcasts to them: (batch, 1 or tokens, width). So do `scale` and `shift`.
        scale: Of the next norm.
        shift: Of the next norm.
        weight: (width,), the norm's own factor.
        norm: "rms" or "layer".
        eps: Added to the mean square, or to the variance.

    Returns:
        The stream and its norm: two new contiguous tensors of the shape and dtype of `residual`.

    Raises:
        KernelArgumentError: An argument does not fit.
    """
    outputs = OPERATOR(residual, output, gate, scale, shift, weight, norm, eps)
    return cast(tuple[Tensor, Tensor], outputs)


def _check(
    residual: Tensor,
    output: Tensor,
    gate: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    weight: Tensor | None,
    norm: str,
    eps: float,
) -> None:
    check_activation("gate_residual_norm", "residual", residual)
    check_like("gate_residual_norm", "output", output, residual)
    for name, tensor in (("gate", gate), ("scale", scale), ("shift", shift)):
        check_modulation("gate_residual_norm", name, tensor, residual)
    check_weight("gate_residual_norm", "weight", weight, residual)
    check_norm("gate_residual_norm", norm)


OPERATOR = register(
    "gate_residual_norm",
    _check,
    gate_residual_norm_reference,
    "sol.kernels.gate_residual_norm.triton_kernel",
)
