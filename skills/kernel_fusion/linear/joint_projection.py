"""Several linear layers over one input as one matrix product, behind the layers' own places.

No attention processor is written anew: the first layer computes for all and the others hand out
their share of it, when they are asked with the very same tensor.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class JointProjection(nn.Module):
    """One product in the place of several; a layer asks for its share, in any order.

    Only plain attributes decide, so that torch.compile can trace it; within one graph what is kept
    never leaves it.

    Args:
        layers: Of one input size, all with a bias or all without.

    Attributes:
        was_used: Whether a product was shared.
    """

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.linear = _joined(layers)
        self.sizes = [layer.out_features for layer in layers]
        self.was_used = False
        self._input: torch.Tensor | None = None
        self._shares: tuple[torch.Tensor, ...] = ()
        self._n_waiting = 0

    def share_of(self, index: int, x: torch.Tensor) -> torch.Tensor:
        """(..., in_features) -> (..., out_features of the layer at `index`)."""
        if x is self._input:
            self.was_used = True
        else:
            self._input = x
            self._shares = self.linear(x).split(self.sizes, dim=-1)
            self._n_waiting = len(self.sizes)
        share = self._shares[index]
        self._n_waiting -= 1
        if self._n_waiting == 0:
            self._input, self._shares = None, ()
        return share


class ProjectionShare(nn.Module):
    """Stands in the place of one of the layers."""

    def __init__(self, joint: JointProjection, index: int) -> None:
        super().__init__()
        self.joint = joint
        self.index = index

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.joint.share_of(self.index, x)


def _joined(layers: Sequence[nn.Linear]) -> nn.Linear:
    weight = torch.cat([layer.weight.detach() for layer in layers])
    joined = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    joined.weight = nn.Parameter(weight, requires_grad=False)
    biases = [layer.bias.detach() for layer in layers if layer.bias is not None]
    if biases:
        joined.bias = nn.Parameter(torch.cat(biases), requires_grad=False)
    return joined
