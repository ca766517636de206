"""Attention over some blocks of keys, chosen for each block of queries.

What is chosen is a `BlockLayout`; how it is computed is a path. All paths compute the same, and
none has a backward.
"""

from __future__ import annotations

from torch import Tensor

from sol.kernels.block_sparse_attention.layout import BlockLayout, make_layout
from sol.kernels.block_sparse_attention.paths import PATHS, Path, get_path
from sol.kernels.block_sparse_attention.remainder import REMAINDERS, Remainder
from sol.kernels.operator.arguments import DTYPES, KernelArgumentError

__all__ = [
    "PATHS",
    "REMAINDERS",
    "BlockLayout",
    "Path",
    "Remainder",
    "block_sparse_attention",
    "make_layout",
]

_OP = "block_sparse_attention"
_RANK = 4


def block_sparse_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: BlockLayout,
    *,
    remainder: Remainder = "drop",
    path: str = "auto",
    scale: float | None = None,
) -> Tensor:
    """softmax(query key^T * scale) value over the blocks that the layout keeps.

    Args:
        query: (batch, heads, tokens, head_dim), any strides; float32, bfloat16 or float16.
        key: Of the same shape and dtype.
        value: Likewise.
        layout: The kept blocks, on the same device.
        remainder: What becomes of the others, see `Remainder`.
        path: One of `PATHS`; "auto" takes the first of them that can run.
        scale: Of the scores; None is head_dim ** -0.5.

    Returns:
        A new tensor of the shape and dtype of `query`.

    Raises:
        KernelArgumentError: An argument does not fit, or the path cannot run.
    """
    _check(query, key, value, layout, remainder)
    chosen = get_path(path, query.device, query.dtype, query.shape[-1], layout, remainder)
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    return chosen.attend(query, key, value, layout, remainder, scale)


def _check(query: Tensor, key: Tensor, value: Tensor, layout: BlockLayout, remainder: str) -> None:
    if query.dim() != _RANK or query.dtype not in DTYPES:
        known = ", ".join(str(dtype) for dtype in DTYPES)
        raise KernelArgumentError(
            f"{_OP}: query must be (batch, heads, tokens, head_dim) in one of {known}, got "
            f"{tuple(query.shape)} in {query.dtype}: reshape or cast it."
        )
    for name, x in (("key", key), ("value", value)):
        if (x.shape, x.dtype, x.device) != (query.shape, query.dtype, query.device):
            raise KernelArgumentError(
                f"{_OP}: {name} must be {tuple(query.shape)} in {query.dtype} on {query.device} "
                f"as query is, got {tuple(x.shape)} in {x.dtype} on {x.device}: only "
                "self-attention with as many heads of keys as of queries is supported."
            )
    n_samples, n_heads = layout.mask.shape[:2]
    batch, heads, n_tokens, _ = query.shape
    if n_samples not in (1, batch) or (n_heads, layout.n_tokens) != (heads, n_tokens):
        raise KernelArgumentError(
            f"{_OP}: layout must be of 1 or {batch} samples, {heads} heads and {n_tokens} tokens, "
            f"got {n_samples}, {n_heads} and {layout.n_tokens}: make it for these queries."
        )
    if layout.mask.device != query.device:
        raise KernelArgumentError(
            f"{_OP}: layout must be on {query.device} as query is, got {layout.mask.device}: "
            "make it from a mask there."
        )
    if remainder not in REMAINDERS:
        raise KernelArgumentError(
            f"{_OP}: remainder must be one of {', '.join(REMAINDERS)}, got {remainder!r}."
        )
