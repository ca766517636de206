"""The gated residual and its norm in plain PyTorch."""

from __future__ import annotations

from torch import Tensor

from sol.kernels.modulated_norm.reference import normalise


def gate_residual_norm_reference(
    residual: Tensor,
    output: Tensor,
    gate: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    weight: Tensor | None,
    norm: str,
    eps: float,
) -> tuple[Tensor, Tensor]:
    """As `gate_residual_norm`, without its checks."""
    added = output.float() if gate is None else output.float() * gate.float()
    stream = (residual.float() + added).to(residual.dtype)
    value = normalise(stream.float(), weight, norm, eps)
    if scale is not None:
        value = value * (1 + scale.float())
    if shift is not None:
        value = value + shift.float()
    return stream.contiguous(), value.to(residual.dtype).contiguous()
