"""The settings that every sparse attention has, and where it is dense all the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from sol.kernels.block_sparse_attention import Remainder
from sol.skills.sparse_attention.sequence.blocks import Order
from sol.target import STRICT


@dataclass(frozen=True, kw_only=True)
class SparseSettings:
    """How tokens are cut into blocks, and what becomes of the blocks that are left out.

    Attributes:
        order: In which tokens are cut into blocks.
        block: Tokens of a block, of queries as of keys.
        density: Share of the blocks of keys that a block of queries attends to; 1 is dense.
        remainder: "drop" leaves the others out; "mean" puts the mean of each in its place, in
            the same softmax (PISA's zeroth order, arXiv 2602.01077, equation 6).
        correct_every: Every so many steps attention is dense, and what the sparse one lacks there
            is added to it in the steps between (DiTFastAttn's residual sharing, arXiv 2406.08552,
            section 3.2). 0 is never. Takes memory for one output of each attention, or for two.
        correct_order: 0 adds what was lacking last; 1 extends it along the noise level from the
            last two times.
        sink: All queries attend to the first frame.
        dense_layers: First blocks of the denoiser with dense attention.
        dense_first: First steps with dense attention.
        dense_last: Last steps with dense attention.
        path: What computes it; "auto" takes the best that runs here.
    """

    __pydantic_config__ = STRICT

    order: Order = "tiles"
    block: Annotated[int, Field(ge=16, le=512)] = 64
    density: Annotated[float, Field(gt=0.0, le=1.0)] = 0.25
    remainder: Remainder = "mean"
    correct_every: Annotated[int, Field(ge=0)] = 0
    correct_order: Literal[0, 1] = 0
    sink: bool = False
    dense_layers: Annotated[int, Field(ge=0)] = 0
    dense_first: Annotated[int, Field(ge=0)] = 0
    dense_last: Annotated[int, Field(ge=0)] = 0
    path: Literal["auto", "triton", "gathered", "flex", "masked"] = "auto"
