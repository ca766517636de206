"""What the Triton kernels share: the sizes of a launch, and the norm of a row.

This module imports triton, as `triton_kernel.py` of each operator does; nothing else may. Triton
reads the annotations in a kernel itself, and knows none but constexpr: the others are left out.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from triton.runtime.jit import JITFunction

_MAX_WARPS = 16
# Columns a warp: eight a thread, which is a load of 16 bytes in half precision.
_COLUMNS_PER_WARP = 256


def row_launch(width: int) -> dict[str, Any]:
    """The options for a program that holds one row of `width` columns in registers."""
    block = triton.next_power_of_2(width)
    return block_launch(block)


def block_launch(block: int) -> dict[str, Any]:
    """The options for a program over `block` columns, a power of two."""
    n_warps = min(max(block // _COLUMNS_PER_WARP, 1), _MAX_WARPS)
    # Said, because triton is about to change what it does when nothing is said.
    return {"BLOCK": block, "num_warps": n_warps, "enable_fp_fusion": True}


@triton.jit
def load_row(pointer, batch, token, strides, columns, mask):
    """One row as float32; columns outside `mask` are 0."""
    offsets = batch * strides[0] + token * strides[1] + columns * strides[2]
    return tl.load(pointer + offsets, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def normalise(row, mask, width, eps, IS_RMS: tl.constexpr):
    """RMSNorm or LayerNorm of a float32 row without its weight."""
    if not IS_RMS:
        row = tl.where(mask, row - tl.sum(row, axis=0) / width, 0.0)
    return row * tl.rsqrt(tl.sum(row * row, axis=0) / width + eps)


IS_INTERPRETED = not isinstance(normalise, JITFunction)
