"""Taking and putting some of the rows, along axis 1, of tensors that have one for each token."""

from __future__ import annotations

import torch
from torch import Tensor

Rows = Tensor
"""(samples, n): for each sample of the batch, which rows, in ascending order.

A batch may hold each sample several times, as guidance does: its first half, then its second, in
the same order. All of a sample's places in the batch have the same rows.
"""


def take_rows(tensor: Tensor, rows: Rows) -> Tensor:
    """(batch, n_tokens, ...) -> (batch, n, ...); one entry for the whole batch becomes several
    where the samples' rows differ."""
    if rows.shape[0] == 1:
        return tensor.index_select(1, rows[0])
    n_batch = max(tensor.shape[0], rows.shape[0])
    return tensor.expand(n_batch, *tensor.shape[1:])[_places(n_batch, rows)]


def put_rows(tensor: Tensor, rows: Rows, values: Tensor) -> None:
    """Writes `values` (batch, n, ...) into those rows of `tensor` (batch, n_tokens, ...)."""
    if rows.shape[0] == 1:
        tensor.index_copy_(1, rows[0], values)
    else:
        tensor[_places(tensor.shape[0], rows)] = values


def other_rows(rows: Rows, n_tokens: int) -> Rows:
    """(samples, n_tokens - n): the rows that are not among `rows`, in ascending order."""
    is_other = torch.ones(rows.shape[0], n_tokens, dtype=torch.bool, device=rows.device)
    is_other.scatter_(1, rows, False)
    return is_other.nonzero()[:, 1].view(rows.shape[0], n_tokens - rows.shape[1])


def _places(n_batch: int, rows: Rows) -> tuple[Tensor, Tensor]:
    return torch.arange(n_batch, device=rows.device)[:, None], rows.repeat(
        n_batch // rows.shape[0], 1
    )
