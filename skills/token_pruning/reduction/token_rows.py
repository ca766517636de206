"""Taking and putting some of the rows, along axis 1, of tensors that have one for each token."""

from __future__ import annotations

import torch
from torch import Tensor

Rows = Tensor
"""Which rows: (1, n) where all of a batch has the same ones, or (batch, n)."""


def for_batch(rows: Rows, n_batch: int) -> Rows:
    """Rows of each sample, (samples, n), as rows of a batch that holds each sample several times.

    As guidance does: all samples in its first half, then all of them again in the same order.
    """
    return rows if rows.shape[0] == 1 else rows.repeat(n_batch // rows.shape[0], 1)


def take_rows(tensor: Tensor, rows: Rows) -> Tensor:
    """(batch, n_tokens, ...) -> (batch, n, ...); what one table says for all of a batch is said
    for each of it where the rows differ."""
    if rows.shape[0] == 1:
        return tensor.index_select(1, rows[0])
    return tensor.expand(rows.shape[0], *tensor.shape[1:])[_places(rows)]


def put_rows(tensor: Tensor, rows: Rows, values: Tensor) -> None:
    """Writes `values` (batch, n, ...) into those rows of `tensor` (batch, n_tokens, ...).

    In the precision of `tensor`: that of a step may be another than that of the step before.
    """
    values = values.to(tensor.dtype)
    if rows.shape[0] == 1:
        tensor.index_copy_(1, rows[0], values)
    else:
        tensor[_places(rows)] = values


def other_rows(rows: Rows, n_tokens: int) -> Rows:
    """(samples, n_tokens - n): the rows that are not among `rows`, in ascending order."""
    is_other = torch.ones(rows.shape[0], n_tokens, dtype=torch.bool, device=rows.device)
    is_other.scatter_(1, rows, False)
    return is_other.nonzero()[:, 1].view(rows.shape[0], n_tokens - rows.shape[1])


def _places(rows: Rows) -> tuple[Tensor, Tensor]:
    return torch.arange(rows.shape[0], device=rows.device)[:, None], rows
