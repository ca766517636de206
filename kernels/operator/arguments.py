"""The rules that arguments of a kernel must keep, and what is said of one that does not."""

from __future__ import annotations

import torch
from torch import Tensor

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
NORMS = ("rms", "layer")

_ACTIVATION_RANK = 3


class KernelArgumentError(ValueError):
    """An argument that a kernel cannot take: the rule, the value, the remedy."""


def check_activation(op: str, name: str, x: Tensor) -> None:
    """Holds `x` to (batch, tokens, width) in one of `DTYPES`.

    Raises:
        KernelArgumentError: It is not.
    """
    if x.dim() != _ACTIVATION_RANK:
        raise KernelArgumentError(
            f"{op}: {name} must be (batch, tokens, width), got {_shape(x)}: reshape it."
        )
    if x.dtype not in DTYPES:
        known = ", ".join(str(dtype) for dtype in DTYPES)
        raise KernelArgumentError(f"{op}: {name} must be one of {known}, got {x.dtype}: cast it.")


def check_like(op: str, name: str, tensor: Tensor, x: Tensor) -> None:
    """Holds `tensor` to the shape and device of `x`.

    Raises:
        KernelArgumentError: They differ.
    """
    if tensor.shape != x.shape:
        raise KernelArgumentError(
            f"{op}: {name} must have the shape {_shape(x)} of the first argument, "
            f"got {_shape(tensor)}: broadcast it before the call."
        )
    _check_device(op, name, tensor, x)


def check_modulation(op: str, name: str, tensor: Tensor | None, x: Tensor) -> None:
    """Holds a scale, shift or gate to what broadcasts to `x`; None passes.

    Raises:
        KernelArgumentError: It does not broadcast, or is on another device.
    """
    if tensor is None:
        return
    fits = zip(reversed(tensor.shape), reversed(x.shape), strict=False)
    if tensor.dim() > x.dim() or not all(n in (1, m) for n, m in fits):
        raise KernelArgumentError(
            f"{op}: {name} must broadcast to {_shape(x)}, got {_shape(tensor)}: "
            "give (batch, 1 or tokens, width)."
        )
    _check_device(op, name, tensor, x)


def check_weight(op: str, name: str, weight: Tensor | None, x: Tensor) -> None:
    """Holds the weight of a norm to (width,); None passes.

    Raises:
        KernelArgumentError: It has another shape, or is on another device.
    """
    if weight is None:
        return
    if weight.shape != x.shape[-1:]:
        raise KernelArgumentError(
            f"{op}: {name} must be ({x.shape[-1]},), one factor a column, got {_shape(weight)}: "
            "norms within each head are not supported."
        )
    _check_device(op, name, weight, x)


def check_norm(op: str, norm: str) -> None:
    """Holds the kind of norm to a known one.

    Raises:
        KernelArgumentError: It is not one of `NORMS`.
    """
    if norm not in NORMS:
        known = ", ".join(NORMS)
        raise KernelArgumentError(f"{op}: norm must be one of {known}, got {norm!r}.")


def _check_device(op: str, name: str, tensor: Tensor, x: Tensor) -> None:
    if tensor.device != x.device:
        raise KernelArgumentError(
            f"{op}: {name} must be on {x.device} as the first argument is, "
            f"got {tensor.device}: move it."
        )


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
