"""GELU-tanh(x + bias): what follows the first matrix product of a feed-forward layer."""

from __future__ import annotations

from typing import cast

from torch import Tensor

from sol.kernels.gelu_tanh.reference import gelu_tanh_reference
from sol.kernels.operator.arguments import check_activation, check_weight
from sol.kernels.operator.registration import register

__all__ = ["OPERATOR", "gelu_tanh", "gelu_tanh_reference"]


def gelu_tanh(x: Tensor, bias: Tensor) -> Tensor:
    """The tanh approximation of GELU (Hendrycks and Gimpel 2016); in float32, rounded once.

    Args:
        x: (batch, tokens, width), any strides: the product without its bias.
        bias: (width,).

    Returns:
        A new contiguous tensor of the shape and dtype of `x`.

    Raises:
        KernelArgumentError: An argument does not fit.
    """
    return cast(Tensor, OPERATOR(x, bias))


def _check(x: Tensor, bias: Tensor) -> None:
    check_activation("gelu_tanh", "x", x)
    check_weight("gelu_tanh", "bias", bias, x)


OPERATOR = register(
    "gelu_tanh", _check, gelu_tanh_reference, "sol.kernels.gelu_tanh.triton_kernel"
)
