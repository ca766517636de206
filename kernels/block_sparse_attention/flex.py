"""Block-sparse attention by PyTorch's FlexAttention, which skips blocks given as a list."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import flex_attention as flex

from sol.kernels.block_sparse_attention.block_means import block_means
from sol.kernels.block_sparse_attention.layout import BlockLayout, sort_kept_first
from sol.kernels.block_sparse_attention.remainder import Remainder

# The blocks of its CUDA kernel must divide those of the mask.
_SMALLEST_BLOCK_ON_CUDA = 64


def find_obstacle(
    device: torch.device,
    dtype: torch.dtype,
    head_dim: int,
    layout: BlockLayout,
    remainder: Remainder,
) -> str | None:
    """Why this path cannot run; None where it can."""
    if not hasattr(flex, "AuxRequest"):
        return (
            f"the FlexAttention of PyTorch {torch.__version__} has no AuxRequest, that of 2.13 has"
        )
    if device.type == "cuda":
        return _find_obstacle_on_cuda(layout)
    if device.type != "cpu":
        return f"FlexAttention is not compiled for {device.type}"
    if remainder == "mean":
        return "FlexAttention gives no log-sum-exp on a CPU, with which the means would be added"
    if not (shutil.which("g++") or shutil.which("clang++")):
        return "FlexAttention on a CPU needs a C++ compiler (install g++)"
    return None


def _find_obstacle_on_cuda(layout: BlockLayout) -> str | None:
    if find_spec("triton") is None:
        return "FlexAttention on a GPU needs the triton package"
    if layout.block % _SMALLEST_BLOCK_ON_CUDA != 0:
        return f"FlexAttention needs blocks of a multiple of {_SMALLEST_BLOCK_ON_CUDA} tokens"
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
    mask = layout.get_form(make_block_mask)
    run = _compiled()
    if remainder == "drop":
        output: Tensor = run(query, key, value, block_mask=mask, scale=scale)
        return output
    aux = flex.AuxRequest(lse=True)
    output, extra = run(query, key, value, block_mask=mask, scale=scale, return_aux=aux)
    return add_means(output, extra.lse, query, key, value, layout, scale)


def make_block_mask(layout: BlockLayout) -> flex.BlockMask:
    """All kept blocks as full ones: the kernel evaluates `mask_mod` for none of their tokens."""
    blocks, counts = layout.get_form(sort_kept_first)
    mask, block = layout.mask, layout.block

    def is_kept(sample: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        # Where FlexAttention is not compiled it goes by nothing else.
        blocks_of = mask[sample] if len(mask) > 1 else mask[0]
        return blocks_of[head, query // block, key // block]

    return flex.BlockMask.from_kv_blocks(
        torch.zeros_like(counts),
        torch.zeros_like(blocks),
        counts,
        blocks,
        BLOCK_SIZE=block,
        mask_mod=is_kept,
        seq_lengths=(layout.n_tokens, layout.n_tokens),
        compute_q_blocks=False,
    )


def add_means(
    output: Tensor,
    lse: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: BlockLayout,
    scale: float,
) -> Tensor:
    """What attention over the kept blocks becomes when the others enter by their means.

    Both parts are weighted by their sums of exponentials.

    Args:
        output: Attention over the kept blocks, (batch, heads, tokens, head_dim).
        lse: The logarithm of its sums of exponentials, (batch, heads, tokens).
    """
    owner = torch.arange(layout.n_tokens, device=query.device) // layout.block
    bias = layout.lengths.log().masked_fill(layout.mask, -torch.inf)
    scores = query @ block_means(key, layout.block).transpose(-1, -2)
    scores = scores.float() * scale + bias[:, :, owner]
    total = torch.logaddexp(lse, scores.logsumexp(dim=-1))[..., None]
    weights = (scores - total).exp().to(query.dtype)
    share = (lse[..., None] - total).exp().to(query.dtype)
    return output * share + weights @ block_means(value, layout.block)


@cache
def _compiled() -> Callable[..., Any]:
    # A graph break would mean the eager form, which computes every score.
    compiled: Callable[..., Any] = torch.compile(flex.flex_attention, fullgraph=True)
    return compiled
