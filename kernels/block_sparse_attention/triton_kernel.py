"""Block-sparse attention in Triton: one program a block of queries, with an online softmax.

The loop is that of FlashAttention-2 (arXiv 2307.08691, algorithm 1), over a list of key blocks.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from sol.kernels.block_sparse_attention.block_means import block_means

_LARGEST_TILE = 64
_MEANS_A_TILE = 16
_LOG2_E = math.log2(math.e)


@triton.jit
def fold_in(scores, value_tile, top, total, output):
    """Adds a tile of keys to the running softmax; scores are to base 2, of no key -inf."""
    new_top = tl.maximum(top, tl.max(scores, axis=1))
    weights = tl.exp2(scores - new_top[:, None])
    shrink = tl.exp2(top - new_top)
    total = total * shrink + tl.sum(weights, axis=1)
    weighted = tl.dot(weights.to(value_tile.dtype), value_tile, input_precision="ieee")
    return new_top, total, output * shrink[:, None] + weighted


@triton.jit
def load_tile(pointer, rows, columns, strides, mask):
    """(rows, columns) of one head; rows outside `mask` are 0."""
    offsets = rows.to(tl.int64)[:, None] * strides[2] + columns[None, :] * strides[3]
    return tl.load(pointer + offsets, mask=mask[:, None], other=0.0)


@triton.jit
def block_sparse_attention_kernel(
    query,
    key,
    value,
    mean_key,
    mean_value,
    blocks,
    counts,
    out,
    n_tokens,
    n_blocks,
    scale,
    query_strides,
    key_strides,
    value_strides,
    mean_key_strides,
    mean_value_strides,
    blocks_strides,
    counts_strides,
    out_strides,
    HEAD_DIM: tl.constexpr,
    BLOCK: tl.constexpr,
    TILE: tl.constexpr,
    WITH_MEANS: tl.constexpr,
    MEANS: tl.constexpr,
):
    """The queries of program (query block, head, batch)."""
    query_block = tl.program_id(0)
    # A video's activations can hold more than 2**31 values.
    head = tl.program_id(1).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    query += batch * query_strides[0] + head * query_strides[1]
    key += batch * key_strides[0] + head * key_strides[1]
    value += batch * value_strides[0] + head * value_strides[1]
    out += batch * out_strides[0] + head * out_strides[1]
    blocks += batch * blocks_strides[0] + head * blocks_strides[1]
    blocks += query_block * blocks_strides[2]
    counts += batch * counts_strides[0] + head * counts_strides[1]
    n_kept = tl.load(counts + query_block * counts_strides[2])

    columns = tl.arange(0, HEAD_DIM)
    rows = query_block * BLOCK + tl.arange(0, BLOCK)
    query_tile = load_tile(query, rows, columns, query_strides, rows < n_tokens)
    top = tl.full([BLOCK], float("-inf"), tl.float32)
    total = tl.zeros([BLOCK], tl.float32)
    output = tl.zeros([BLOCK, HEAD_DIM], tl.float32)

    TILES: tl.constexpr = BLOCK // TILE
    for i in range(n_kept * TILES):
        block = tl.load(blocks + (i // TILES) * blocks_strides[3])
        keys = block * BLOCK + (i % TILES) * TILE + tl.arange(0, TILE)
        is_key = keys < n_tokens
        key_tile = load_tile(key, keys, columns, key_strides, is_key)
        value_tile = load_tile(value, keys, columns, value_strides, is_key)
        scores = tl.dot(query_tile, tl.trans(key_tile), input_precision="ieee") * scale
        scores = tl.where(is_key[None, :], scores, float("-inf"))
        top, total, output = fold_in(scores, value_tile, top, total, output)

    if WITH_MEANS:
        mean_key += batch * mean_key_strides[0] + head * mean_key_strides[1]
        mean_value += batch * mean_value_strides[0] + head * mean_value_strides[1]
        # The list goes on with the blocks that are left out.
        for start in range(n_kept, n_blocks, MEANS):
            places = start + tl.arange(0, MEANS)
            is_block = places < n_blocks
            block = tl.load(blocks + places * blocks_strides[3], mask=is_block, other=0)
            key_tile = load_tile(mean_key, block, columns, mean_key_strides, is_block)
            value_tile = load_tile(mean_value, block, columns, mean_value_strides, is_block)
            lengths = tl.minimum(n_tokens - block * BLOCK, BLOCK).to(tl.float32)
            scores = tl.dot(query_tile, tl.trans(key_tile), input_precision="ieee") * scale
            scores = tl.where(is_block[None, :], scores + tl.log2(lengths)[None, :], float("-inf"))
            top, total, output = fold_in(scores, value_tile, top, total, output)

    output = output / total[:, None]
    offsets = rows.to(tl.int64)[:, None] * out_strides[2] + columns[None, :] * out_strides[3]
    tl.store(out + offsets, output.to(out.dtype.element_ty), mask=(rows < n_tokens)[:, None])


def launch(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    blocks: Tensor,
    counts: Tensor,
    block: int,
    remainder: str,
    scale: float,
) -> Tensor:
    """As `block_sparse_attention_reference`."""
    batch, n_heads, n_tokens, head_dim = query.shape
    n_blocks = blocks.shape[-1]
    with_means = remainder == "mean"
    mean_key = block_means(key, block) if with_means else key
    mean_value = block_means(value, block) if with_means else value
    blocks, counts = blocks.expand(batch, -1, -1, -1), counts.expand(batch, -1, -1)
    out = torch.empty(query.shape, dtype=query.dtype, device=query.device)
    block_sparse_attention_kernel[(n_blocks, n_heads, batch)](
        query,
        key,
        value,
        mean_key,
        mean_value,
        blocks,
        counts,
        out,
        n_tokens,
        n_blocks,
        scale * _LOG2_E,
        query.stride(),
        key.stride(),
        value.stride(),
        mean_key.stride(),
        mean_value.stride(),
        blocks.stride(),
        counts.stride(),
        out.stride(),
        HEAD_DIM=head_dim,
        BLOCK=block,
        TILE=min(block, _LARGEST_TILE),
        WITH_MEANS=with_means,
        MEANS=_MEANS_A_TILE,
        **_launch_options(block),
    )
    return out


def _launch_options(block: int) -> dict[str, int | bool]:
    """Not measured on a GPU: compiled for compute capability 9.0 no register is spilled."""
    n_warps = 4 if block <= _LARGEST_TILE else 8
    # Said of fusion, because triton is about to change what it does when nothing is said.
    return {"num_warps": n_warps, "num_stages": 3, "enable_fp_fusion": True}
