"""A linear layer over a weight in oneDNN's own layout, with GELU folded in where it follows.

PyTorch's F.linear in float32 goes to MKL, which runs at half its speed on CPUs of other makers,
and lays out the weight anew in every call. oneDNN takes a weight that was laid out once.

Inductor has a lowering for this operator that insists on a weight which is part of the graph, so
that equal blocks could not share one: behind an operator of our own it is an argument like any
other. Defined through `torch.library.Library`, which costs a microsecond a call; `custom_op` costs
ten.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from sol.roles import GELUForm

_LIBRARY = torch.library.Library("sol", "FRAGMENT")  # type: ignore[no-untyped-call]
_LIBRARY.define(  # type: ignore[no-untyped-call]
    "packed_linear(Tensor x, Tensor packed, Tensor? bias, str gelu) -> Tensor"
)


def packed_linear(
    x: torch.Tensor,
    packed: torch.Tensor,
    bias: torch.Tensor | None,
    gelu: Literal["", "none", "tanh"],
) -> torch.Tensor:
    """x W^T + b, (..., in_features) -> (..., out_features), then GELU unless `gelu` is "".

    Args:
        packed: What `pack_weight` made of W.
        gelu: "none" for GELU as it is defined, "tanh" for its approximation.
    """
    activation = "gelu" if gelu else "none"
    output: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
        x, packed, bias, activation, [], gelu
    )
    return output


def _shape_of_output(
    x: torch.Tensor, packed: torch.Tensor, bias: torch.Tensor | None, gelu: str
) -> torch.Tensor:
    return x.new_empty((*x.shape[:-1], packed.shape[0]))


_LIBRARY.impl(  # type: ignore[no-untyped-call]
    "packed_linear", packed_linear, "CompositeExplicitAutograd"
)
torch.library.register_fake("sol::packed_linear", _shape_of_output, lib=_LIBRARY)


def pack_weight(weight: torch.Tensor) -> torch.Tensor:
    """A copy of a (out_features, in_features) weight in the layout that oneDNN prefers."""
    packed: torch.Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), None)
    return packed


class PackedLinear(nn.Module):
    """A drop-in for `nn.Linear` in inference: (..., in_features) -> (..., out_features).

    Args:
        gelu: The GELU that follows, if one is to be folded in.
    """

    def __init__(self, linear: nn.Linear, gelu: GELUForm | None = None) -> None:
        super().__init__()
        self.packed = pack_weight(linear.weight)
        self.bias = linear.bias
        self.dtype = linear.weight.dtype
        self.gelu = gelu or ""
        self.packed_bytes = linear.weight.nbytes

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # Under autocast other operators hand over half precision; the packed weight stays.
        output: torch.Tensor = torch.ops.sol.packed_linear(
            x.to(self.dtype), self.packed, self.bias, self.gelu
        )
        return output.to(x.dtype)
