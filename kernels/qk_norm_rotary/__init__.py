"""RMSNorm over all heads of queries and keys, then their rotary embedding, in one pass.

Queries and keys together, because they share the tables: in float32 these are as many bytes as
both in half precision.
"""

from __future__ import annotations

from typing import cast

from torch import Tensor

from sol.kernels.operator.arguments import (
    KernelArgumentError,
    check_activation,
    check_like,
    check_weight,
)
from sol.kernels.operator.registration import register
from sol.kernels.qk_norm_rotary.reference import HEADS_SHARE_RANK, qk_norm_rotary_reference

__all__ = ["OPERATOR", "qk_norm_rotary", "qk_norm_rotary_reference"]

_OP = "qk_norm_rotary"


def qk_norm_rotary(
    q: Tensor,
    k: Tensor,
    q_weight: Tensor,
    k_weight: Tensor,
    cos: Tensor,
    sin: Tensor,
    eps: float = 1e-6,
) -> tuple[Tensor, Tensor]:
    """Computed in float32, rounded once. Columns 2i and 2i + 1 are rotated together.

    The tables say which of the two forms in diffusers is meant:
    - (batch or 1, tokens, width), LTX: column j is x_j cos_j + r_j sin_j, where r is x with each
      pair (a, b) turned into (-b, a);
    - (batch or 1, tokens, 1, head width), Wan: all heads share them; a pair's angle has its cosine
      at the even and its sine at the odd column.

    Args:
        q: (batch, tokens, heads * head width), any strides, before the norm.
        k: Likewise, of the same shape.
        q_weight: (width,), the norm's factor.
        k_weight: Likewise.
        cos: The table of cosines.
        sin: The table of sines, of the same shape.
        eps: Added to the mean square.

    Returns:
        Queries and keys: two new contiguous tensors in the dtypes of `q` and `k`, of the shape of
        `q`, or (batch, tokens, heads, head width) where the heads share their tables.

    Raises:
        KernelArgumentError: An argument does not fit.
    """
    outputs = OPERATOR(q, k, q_weight, k_weight, cos, sin, eps)
    return cast(tuple[Tensor, Tensor], outputs)


def _check(
    q: Tensor, k: Tensor, q_weight: Tensor, k_weight: Tensor, cos: Tensor, sin: Tensor, eps: float
) -> None:
    check_activation(_OP, "q", q)
    check_activation(_OP, "k", k)
    check_like(_OP, "k", k, q)
    check_weight(_OP, "q_weight", q_weight, q)
    check_weight(_OP, "k_weight", k_weight, q)
    _check_table("cos", cos, q)
    check_like(_OP, "sin", sin, cos)


def _check_table(name: str, table: Tensor, q: Tensor) -> None:
    batch, tokens, width = q.shape
    columns = table.shape[-1]
    is_shared = table.dim() == HEADS_SHARE_RANK
    rows_fit = table.dim() >= q.dim() and table.shape[0] in (1, batch) and table.shape[1] == tokens
    heads_fit = table.shape[2:-1] == (1,) and width % columns == 0
    fits = heads_fit if is_shared else table.dim() == q.dim() and columns == width
    if not rows_fit or not fits or columns % 2 != 0:
        raise KernelArgumentError(
            f"{_OP}: {name} must be (1 or {batch}, {tokens}, {width}), or (1 or {batch}, "
            f"{tokens}, 1, head width) with a head width that divides {width}, and have an even "
            f"number of columns; got {tuple(table.shape)}: make it for these queries."
        )
    if table.device != q.device:
        raise KernelArgumentError(
            f"{_OP}: {name} must be on {q.device} as q is, got {table.device}: move it."
        )


OPERATOR = register(
    _OP, _check, qk_norm_rotary_reference, "sol.kernels.qk_norm_rotary.triton_kernel"
)
