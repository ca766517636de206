"""A weight as a product of two thin matrices and a residual that is easier to quantise.

The largest singular values carry what makes a weight's range wide (SVDQuant, arXiv 2411.05007).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

_OVERSAMPLING = 8
_POWER_ITERATIONS = 2
_SEED = 0


@dataclass(frozen=True)
class LowRank:
    """up @ down approximates a weight (out, in).

    Attributes:
        up: (out, rank).
        down: (rank, in).
    """

    up: torch.Tensor
    down: torch.Tensor


def find_low_rank(weight: torch.Tensor, rank: int) -> LowRank:
    """The best approximation of rank `rank` but for the sampling's error.

    By randomised subspace iteration (Halko, Martinsson and Tropp 2011, algorithm 4.4), which takes
    seconds where a full decomposition of the largest layers would take minutes. Its own seed: the
    same weight always has the same factors.

    Args:
        weight: (out, in); the factors have its dtype and are computed in float32.
        rank: Capped at the smaller side.
    """
    matrix = weight.detach().float()
    size = min(rank + _OVERSAMPLING, *matrix.shape)
    generator = torch.Generator("cpu").manual_seed(_SEED)
    start = torch.randn(matrix.shape[1], size, generator=generator).to(matrix.device)
    basis = torch.linalg.qr(matrix @ start).Q
    for _ in range(_POWER_ITERATIONS):
        basis = torch.linalg.qr(matrix @ torch.linalg.qr(matrix.mT @ basis).Q).Q
    left, values, right = torch.linalg.svd(basis.mT @ matrix, full_matrices=False)
    up = basis @ left[:, :rank] * values[:rank]
    return LowRank(up.to(weight.dtype), right[:rank].to(weight.dtype))
