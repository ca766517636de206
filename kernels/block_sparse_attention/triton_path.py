"""The Triton kernel as an operator of PyTorch, and when it can run."""

from __future__ import annotations

from importlib.util import find_spec
from typing import cast

import torch
from torch import Tensor

from sol.kernels.block_sparse_attention import reference
from sol.kernels.block_sparse_attention.layout import BlockLayout, sort_kept_first
from sol.kernels.block_sparse_attention.remainder import Remainder
from sol.kernels.operator.registration import register

BLOCKS = (16, 32, 64, 128)
HEAD_DIMS = (16, 32, 64, 128)
HALVES = (torch.bfloat16, torch.float16)
"""Tensor cores take no float32 as it is; the interpreter does, for tests."""


def find_obstacle(
    device: torch.device,
    dtype: torch.dtype,
    head_dim: int,
    layout: BlockLayout,
    remainder: Remainder,
) -> str | None:
    """Why this path cannot run; None where it can."""
    if device.type != "cuda":
        return f"the Triton kernel needs a CUDA device, got {device.type}"
    if find_spec("triton") is None:
        return "it needs the triton package"
    if dtype not in HALVES:
        return f"the Triton kernel is made for half precision, got {dtype}"
    if layout.block not in BLOCKS:
        return f"the Triton kernel takes blocks of {BLOCKS} tokens, got {layout.block}"
    if head_dim not in HEAD_DIMS:
        return f"the Triton kernel takes heads of {HEAD_DIMS} columns, got {head_dim}"
    return None


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: BlockLayout,
    remainder: Remainder,
    scale: float,
) -> Tensor:
    """See `block_sparse_attention`."""
    blocks, counts = layout.get_form(sort_kept_first)
    output = OPERATOR(query, key, value, blocks, counts, layout.block, remainder, scale)
    return cast(Tensor, output)


def block_sparse_attention_reference(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    blocks: Tensor,
    counts: Tensor,
    block: int,
    remainder: str,
    scale: float,
) -> Tensor:
    """The operator in plain PyTorch; `blocks` and `counts` as `sort_kept_first` gives them."""
    places = torch.arange(blocks.shape[-1], device=blocks.device)
    is_kept = places < counts[..., None]
    mask = torch.zeros_like(is_kept).scatter(-1, blocks.long(), is_kept)
    layout = BlockLayout(mask, query.shape[2], block)
    return reference.attend(query, key, value, layout, cast(Remainder, remainder), scale)


def _check(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    blocks: Tensor,
    counts: Tensor,
    block: int,
    remainder: str,
    scale: float,
) -> None:
    """Nothing: `block_sparse_attention` has checked the arguments, from which the rest is made."""


OPERATOR = register(
    "block_sparse_attention",
    _check,
    block_sparse_attention_reference,
    "sol.kernels.block_sparse_attention.triton_kernel",
)
