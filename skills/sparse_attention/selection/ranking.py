"""From scores of blocks to the blocks that are kept."""

from __future__ import annotations

import torch
from torch import Tensor


def n_kept(density: float | Tensor, n_blocks: int) -> Tensor:
    """How many of `n_blocks` make up a share; at least one."""
    share = torch.as_tensor(density, dtype=torch.float64) * n_blocks
    # A share that is a whole number of blocks is not rounded up for its last digit.
    return (share - 1e-6).ceil().clamp(1, n_blocks).long()


def keep_best(scores: Tensor, n_keep: Tensor, forced: Tensor) -> Tensor:
    """In each row the best blocks; those that are forced are among them.

    Args:
        scores: (..., heads, query blocks, key blocks).
        n_keep: How many of a row, () or (heads,).
        forced: (query blocks, key blocks); where more are forced than kept, all of them are.

    Returns:
        Bool, of the shape of `scores`.
    """
    n_most = int(n_keep.max())
    best = scores.masked_fill(forced, torch.inf).topk(n_most, dim=-1).indices
    is_kept = torch.arange(n_most, device=scores.device) < _by_row(n_keep, scores)
    kept = torch.zeros_like(scores, dtype=torch.bool)
    return kept.scatter_(-1, best, is_kept.expand_as(best)) | forced


def keep_above(scores: Tensor, n_deviations: float, forced: Tensor) -> Tensor:
    """In each row the blocks that stand out: above mean + `n_deviations` standard deviations.

    Sol-Attn, arXiv 2607.24027.
    """
    deviation, mean = torch.std_mean(scores, dim=-1, keepdim=True, correction=0)
    return (scores > mean + n_deviations * deviation) | forced


def always_kept(has_text: Tensor, has_first_frame: Tensor, *, sink: bool) -> Tensor:
    """(blocks, blocks): a block itself, and text for all; text looks at everything.

    Args:
        sink: The first frame as well, for all queries.
    """
    own = torch.eye(len(has_text), dtype=torch.bool, device=has_text.device)
    for_all = has_text | has_first_frame if sink else has_text
    return own | for_all[None, :] | has_text[:, None]


def _by_row(n_keep: Tensor, scores: Tensor) -> Tensor:
    return n_keep.to(scores.device)[..., None, None] if n_keep.ndim else n_keep.to(scores.device)
