"""PyTorch's oneDNN product of uint8 activations and prepacked int8 weights, as an opaque operator.

Inductor knows the operator itself, and takes it for constant weights only; wrapped, it is a call
that compiled code makes like any other, with what stands around it fused. Its activations must be
unsigned: with signed ones oneDNN has no fast kernel for x86, and took a thousand times as long.
"""

from __future__ import annotations

import torch

_LIBRARY = torch.library.Library("sol_int8", "DEF")  # type: ignore[no-untyped-call]
_LIBRARY.define(  # type: ignore[no-untyped-call]
    "product(Tensor x, Tensor packed, Tensor scales, Tensor zeros) -> Tensor"
)


def pack_int8(weight: torch.Tensor) -> torch.Tensor:
    """An int8 weight (out, in) in the layout of oneDNN; opaque but for its shape."""
    packed: torch.Tensor = torch.ops.onednn.qlinear_prepack(weight, None)
    return packed


def int8_product(
    x: torch.Tensor, packed: torch.Tensor, scales: torch.Tensor, zeros: torch.Tensor
) -> torch.Tensor:
    """(x @ weight.T) * scales in float32, accumulated exactly in int32.

    Args:
        x: uint8, (..., in).
        packed: The weight, as `pack_int8` made it.
        scales: float32, (out,).
        zeros: int64, (out,), all 0: the weights' zero points, which the operator wants.

    Returns:
        float32, (..., out).
    """
    product: torch.Tensor = torch.ops.sol_int8.product(x, packed, scales, zeros)
    return product


def _product(
    x: torch.Tensor, packed: torch.Tensor, scales: torch.Tensor, zeros: torch.Tensor
) -> torch.Tensor:
    product: torch.Tensor = torch.ops.onednn.qlinear_pointwise.default(
        x, 1.0, 0, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
    )
    return product


def _shape_of_product(
    x: torch.Tensor, packed: torch.Tensor, scales: torch.Tensor, zeros: torch.Tensor
) -> torch.Tensor:
    return x.new_empty((*x.shape[:-1], scales.shape[0]), dtype=torch.float32)


# The packed weight is of oneDNN's own layout, and the dispatcher goes by it.
for _key in ("CPU", "MkldnnCPU"):
    _LIBRARY.impl("product", _product, _key)  # type: ignore[no-untyped-call]
torch.library.register_fake("sol_int8::product", _shape_of_product, lib=_LIBRARY)
