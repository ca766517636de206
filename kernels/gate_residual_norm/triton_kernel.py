"""The gated residual and its norm in Triton: one program a row, which stays in registers."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sol.kernels.operator.launching import load_row, normalise, row_launch

_NO_STRIDES = (0, 0, 0)


@triton.jit
def gate_residual_norm_kernel(
    residual,
    output,
    gate,
    scale,
    shift,
    weight,
    stream_out,
    norm_out,
    width,
    residual_strides,
    output_strides,
    gate_strides,
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
    stream = load_row(residual, batch, token, residual_strides, columns, mask)
    added = load_row(output, batch, token, output_strides, columns, mask)
    if gate is not None:
        added *= load_row(gate, batch, token, gate_strides, columns, mask)
    rounded = (stream + added).to(stream_out.dtype.element_ty)
    offsets = batch * out_strides[0] + token * out_strides[1] + columns
    tl.store(stream_out + offsets, rounded, mask=mask)
    row = normalise(rounded.to(tl.float32), mask, width, eps, IS_RMS)
    if weight is not None:
        row *= tl.load(weight + columns * weight_stride, mask=mask, other=0.0).to(tl.float32)
    if scale is not None:
        row *= 1 + load_row(scale, batch, token, scale_strides, columns, mask)
    if shift is not None:
        row += load_row(shift, batch, token, shift_strides, columns, mask)
    tl.store(norm_out + offsets, row.to(norm_out.dtype.element_ty), mask=mask)


def launch(
    residual: Tensor,
    output: Tensor,
    gate: Tensor | None,
    scale: Tensor | None,
    shift: Tensor | None,
    weight: Tensor | None,
    norm: str,
    eps: float,
) -> tuple[Tensor, Tensor]:
    """As `gate_residual_norm_reference`."""
    shape = residual.shape
    batch, tokens, width = shape
    gate, scale, shift = (t if t is None else t.expand(shape) for t in (gate, scale, shift))
    stream = torch.empty(shape, dtype=residual.dtype, device=residual.device)
    normed = torch.empty_like(stream)
    gate_residual_norm_kernel[(tokens, batch)](
        residual,
        output,
        gate,
        scale,
        shift,
        weight,
        stream,
        normed,
        width,
        residual.stride(),
        output.stride(),
        *(_NO_STRIDES if t is None else t.stride() for t in (gate, scale, shift)),
        stream.stride(),
        0 if weight is None else weight.stride(0),
        eps,
        IS_RMS=norm == "rms",
        **row_launch(width),
    )
    return stream, normed
