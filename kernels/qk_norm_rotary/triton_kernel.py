"""Norm and rotary embedding in Triton: one program a token, its query and its key."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sol.kernels.operator.launching import load_row, normalise, row_launch
from sol.kernels.qk_norm_rotary.reference import HEADS_SHARE_RANK


@triton.jit
def split_pairs(row, BLOCK: tl.constexpr):
    """The even and the odd columns of a row; a thread that holds both moves nothing."""
    return tl.split(tl.reshape(row, (BLOCK // 2, 2)))


@triton.jit
def normed_and_rotated(
    row, weight, cos, sin, mask, width, eps, ARE_PAIRS: tl.constexpr, BLOCK: tl.constexpr
):
    """A float32 row after norm and rotation by the tables' rows."""
    even, odd = split_pairs(normalise(row, mask, width, eps, True) * weight, BLOCK)
    cos_even, cos_odd = split_pairs(cos, BLOCK)
    sin_even, sin_odd = split_pairs(sin, BLOCK)
    if ARE_PAIRS:
        cos_odd = cos_even
        sin_even = sin_odd
    return tl.interleave(even * cos_even - odd * sin_even, odd * cos_odd + even * sin_odd)


@triton.jit
def qk_norm_rotary_kernel(
    q,
    k,
    q_weight,
    k_weight,
    cos,
    sin,
    q_out,
    k_out,
    width,
    q_strides,
    k_strides,
    cos_strides,
    sin_strides,
    out_strides,
    q_weight_stride,
    k_weight_stride,
    eps,
    TABLE_WIDTH: tl.constexpr,
    ARE_PAIRS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The rows of program (token, batch)."""
    # A video's activations can hold more than 2**31 values.
    token = tl.program_id(0).to(tl.int64)
    batch = tl.program_id(1).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    mask = columns < width
    table_columns = columns % TABLE_WIDTH if ARE_PAIRS else columns
    cos_row = load_row(cos, batch, token, cos_strides, table_columns, mask)
    sin_row = load_row(sin, batch, token, sin_strides, table_columns, mask)
    offsets = batch * out_strides[0] + token * out_strides[1] + columns

    row = load_row(q, batch, token, q_strides, columns, mask)
    factor = tl.load(q_weight + columns * q_weight_stride, mask=mask, other=0.0).to(tl.float32)
    row = normed_and_rotated(row, factor, cos_row, sin_row, mask, width, eps, ARE_PAIRS, BLOCK)
    tl.store(q_out + offsets, row.to(q_out.dtype.element_ty), mask=mask)

    row = load_row(k, batch, token, k_strides, columns, mask)
    factor = tl.load(k_weight + columns * k_weight_stride, mask=mask, other=0.0).to(tl.float32)
    row = normed_and_rotated(row, factor, cos_row, sin_row, mask, width, eps, ARE_PAIRS, BLOCK)
    tl.store(k_out + offsets, row.to(k_out.dtype.element_ty), mask=mask)


def launch(
    q: Tensor, k: Tensor, q_weight: Tensor, k_weight: Tensor, cos: Tensor, sin: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """As `qk_norm_rotary_reference`."""
    batch, tokens, width = q.shape
    shape: tuple[int, ...] = q.shape
    are_pairs = cos.dim() == HEADS_SHARE_RANK
    if are_pairs:
        shape = (batch, tokens, width // cos.shape[-1], cos.shape[-1])
        cos, sin = cos.squeeze(2), sin.squeeze(2)
    cos, sin = cos.expand(batch, -1, -1), sin.expand(batch, -1, -1)
    q_out = torch.empty(shape, dtype=q.dtype, device=q.device)
    k_out = torch.empty(shape, dtype=k.dtype, device=k.device)
    qk_norm_rotary_kernel[(tokens, batch)](
        q,
        k,
        q_weight,
        k_weight,
        cos,
        sin,
        q_out,
        k_out,
        width,
        q.stride(),
        k.stride(),
        cos.stride(),
        sin.stride(),
        q_out.stride(),
        q_weight.stride(0),
        k_weight.stride(0),
        eps,
        TABLE_WIDTH=cos.shape[-1],
        ARE_PAIRS=are_pairs,
        **row_launch(width),
    )
    return q_out, k_out
