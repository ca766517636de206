"""The modulated norm in Triton: one program a row, which it reads and writes once."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sol.kernels.operator.launching import load_row, normalise, row_launch


@triton.jit
def modulated_norm_kernel(
    x,
    scale,
    shift,
    weight,
    out,
    width,
    x_strides,
    scale_strides,
    shift_strides,
    out_strides,
    weight_stride,
    eps,
    IS_RMS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The row of program (token, batch)."""
    # A video's activations can hold more than 2**31 values.
    token = tl.program_id(0).to(tl.int64)
    batch = tl.program_id(1).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    mask = columns < width
    row = load_row(x, batch, token, x_strides, columns, mask)
    factor = 1 + load_row(scale, batch, token, scale_strides, columns, mask)
    offset = load_row(shift, batch, token, shift_strides, columns, mask)
    if weight is not None:
        factor *= tl.load(weight + columns * weight_stride, mask=mask, other=0.0).to(tl.float32)
    row = normalise(row, mask, width, eps, IS_RMS) * factor + offset
    offsets = batch * out_strides[0] + token * out_strides[1] + columns
    tl.store(out + offsets, row.to(out.dtype.element_ty), mask=mask)


def launch(
    x: Tensor, scale: Tensor, shift: Tensor, weight: Tensor | None, norm: str, eps: float
) -> Tensor:
    """As `modulated_norm_reference`."""
    batch, tokens, width = x.shape
    scale, shift = scale.expand(x.shape), shift.expand(x.shape)
    out = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    modulated_norm_kernel[(tokens, batch)](
        x,
        scale,
        shift,
        weight,
        out,
        width,
        x.stride(),
        scale.stride(),
        shift.stride(),
        out.stride(),
        0 if weight is None else weight.stride(0),
        eps,
        IS_RMS=norm == "rms",
        **row_launch(width),
    )
    return out
