"""The ways to compute block-sparse attention, and which of them can run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sol.kernels.block_sparse_attention import flex, gathered, masked, reference, triton_path
from sol.kernels.block_sparse_attention.layout import BlockLayout
from sol.kernels.block_sparse_attention.remainder import Remainder
from sol.kernels.operator.arguments import KernelArgumentError

_OP = "block_sparse_attention"


class _Obstacle(Protocol):
    def __call__(
        self,
        device: torch.device,
        dtype: torch.dtype,
        head_dim: int,
        layout: BlockLayout,
        remainder: Remainder,
    ) -> str | None: ...


class _Attend(Protocol):
    def __call__(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        layout: BlockLayout,
        remainder: Remainder,
        scale: float,
    ) -> Tensor: ...


@dataclass(frozen=True)
class Path:
    """One way.

    Attributes:
        find_obstacle: Why it cannot run; None where it can.
        attend: Computes what `block_sparse_attention` does, with checked arguments.
    """

    find_obstacle: _Obstacle
    attend: _Attend


PATHS: dict[str, Path] = {
    "triton": Path(triton_path.find_obstacle, triton_path.attend),
    "gathered": Path(gathered.find_obstacle, gathered.attend),
    "flex": Path(flex.find_obstacle, flex.attend),
    "masked": Path(masked.find_obstacle, masked.attend),
    "reference": Path(reference.find_obstacle, reference.attend),
}
"""By name, the better before the worse."""


def get_path(
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    head_dim: int,
    layout: BlockLayout,
    remainder: Remainder,
) -> Path:
    """The path of a name, or with "auto" the first that can run; `masked` always can.

    Raises:
        KernelArgumentError: There is no such path, or it cannot run.
    """
    if name == "auto":
        return next(
            path
            for path in PATHS.values()
            if path.find_obstacle(device, dtype, head_dim, layout, remainder) is None
        )
    if name not in PATHS:
        known = ", ".join(["auto", *PATHS])
        raise KernelArgumentError(f"{_OP}: path must be one of {known}, got {name!r}.")
    obstacle = PATHS[name].find_obstacle(device, dtype, head_dim, layout, remainder)
    if obstacle is not None:
        raise KernelArgumentError(
            f"{_OP}: path {name!r} cannot run, {obstacle}: path='auto' takes one that can."
        )
    return PATHS[name]
