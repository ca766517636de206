"""residual + output * gate: how a sub-layer of a block enters its residual stream."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from sol.kernels.gate_residual.reference import gate_residual_reference
from sol.kernels.operator.arguments import check_activation, check_like, check_modulation
from sol.kernels.operator.registration import register

__all__ = ["OPERATOR", "gate_residual", "gate_residual_reference"]


def gate_residual(residual: Tensor, output: Tensor, gate: Tensor) -> Tensor:
    """The new residual stream; computed in float32, rounded once. `residual` stays as it is.

    Args:
        residual: (batch, tokens, width), any strides.
        output: What the sub-layer made, of the same shape.
        gate: Broadcasts to them: (batch, 1 or tokens, width).

    Returns:
        A new contiguous tensor of the shape and dtype of `residual`.

    Raises:
        KernelArgumentError: An argument does not fit.
    """
    return cast(Tensor, OPERATOR(residual, output, gate))


def _check(residual: Tensor, output: Tensor, gate: Tensor) -> None:
    check_activation("gate_residual", "residual", residual)
    check_like("gate_residual", "output", output, residual)
    check_modulation("gate_residual", "gate", gate, residual)


OPERATOR = register(
    "gate_residual",
    _check,
    gate_residual_reference,
    "sol.kernels.gate_residual.triton_kernel",
)
