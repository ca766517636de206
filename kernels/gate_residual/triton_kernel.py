"""The gated residual in Triton: one program a row."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from sol.kernels.operator.launching import load_row, row_launch


@triton.jit
def gate_residual_kernel(
    residual,
    output,
    gate,
    out,
    width,
    residual_strides,
    output_strides,
    gate_strides,
    out_strides,
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
    stream += added * load_row(gate, batch, token, gate_strides, columns, mask)
    offsets = batch * out_strides[0] + token * out_strides[1] + columns
    tl.store(out + offsets, stream.to(out.dtype.element_ty), mask=mask)


def launch(residual: Tensor, output: Tensor, gate: Tensor) -> Tensor:
    """As `gate_residual_reference`."""
    batch, tokens, width = residual.shape
    gate = gate.expand(residual.shape)
    out = torch.empty(residual.shape, dtype=residual.dtype, device=residual.device)
    gate_residual_kernel[(tokens, batch)](
        residual,
        output,
        gate,
        out,
        width,
        residual.stride(),
        output.stride(),
        gate.stride(),
        out.stride(),
        **row_launch(width),
    )
    return out
