"""The feed-forward epilogue in Triton: one program a stretch of a row."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sol.kernels.operator.launching import block_launch, load_row

_BLOCK = 1024


@triton.jit
def gelu_tanh_kernel(
    x, bias, out, width, x_strides, out_strides, bias_stride, BLOCK: tl.constexpr
):
    """The columns of program (token, stretch, batch)."""
    # A video's activations can hold more than 2**31 values.
    token = tl.program_id(0).to(tl.int64)
    batch = tl.program_id(2).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = columns < width
    row = load_row(x, batch, token, x_strides, columns, mask)
    row += tl.load(bias + columns * bias_stride, mask=mask, other=0.0).to(tl.float32)
    # (1 + tanh u) / 2 is the logistic function of 2u; 1.5957691 is 2 sqrt(2 / pi).
    row = row / (1 + tl.exp(-1.5957691216057308 * (row + 0.044715 * row * row * row)))
    offsets = batch * out_strides[0] + token * out_strides[1] + columns
    tl.store(out + offsets, row.to(out.dtype.element_ty), mask=mask)


def launch(x: Tensor, bias: Tensor) -> Tensor:
    """As `gelu_tanh_reference`."""
    batch, tokens, width = x.shape
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    gelu_tanh_kernel[(tokens, triton.cdiv(width, _BLOCK), batch)](
        x, bias, out, width, x.stride(), out.stride(), bias.stride(0), **block_launch(_BLOCK)
    )
    return out
