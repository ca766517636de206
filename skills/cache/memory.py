"""How caches count memory."""

from __future__ import annotations

from collections.abc import Iterable

import torch

MEGABYTE = 2**20
"""Bytes: the unit of every `max_mb`."""


def bytes_of(tensors: Iterable[torch.Tensor | None]) -> int:
    """Their size in memory, without what they share with others; None has none."""
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)
