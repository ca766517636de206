"""Bytes: what a pipeline's weights occupy, and the peak of a run on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import nn


def weights_bytes(modules: Iterable[nn.Module]) -> int:
    """Bytes of all parameters, buffers and packed weights; shared storage counts once.

    A module that hides its weights from PyTorch (packed for an int8 kernel) says what they occupy
    in an attribute `packed_bytes`.
    """
    seen: dict[object, int] = {}
    for root in modules:
        for tensor in (*root.parameters(), *root.buffers()):
            storage = tensor.untyped_storage()
            seen[(tensor.device, storage.data_ptr())] = storage.nbytes()
        for module in root.modules():
            packed = getattr(module, "packed_bytes", None)
            if isinstance(packed, int):
                seen[id(module)] = packed
    return sum(seen.values())


def cuda_peak_bytes(run: Callable[[], object], device: str) -> int:
    """The allocator's peak on `device` while `run` runs, in bytes."""
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device)
