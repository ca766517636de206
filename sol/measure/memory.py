"""Bytes: what a pipeline's weights occupy, and the peak of a run on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from sol.errors import SolError


def modules_of(pipeline: Any) -> list[nn.Module]:
    """The components of a pipeline that have weights."""
    return [part for part in pipeline.components.values() if isinstance(part, nn.Module)]


def weights_bytes(modules: Iterable[nn.Module]) -> int:
    """Bytes of all parameters, buffers and packed weights; shared storage counts once.

    A module that hides its weights from PyTorch (packed for an int8 kernel) says what they occupy
    in an attribute `packed_bytes`.
    """
    return sum(_holdings(modules).values())


def bytes_besides(modules: Iterable[nn.Module], others: Iterable[nn.Module]) -> int:
    """Bytes of what `modules` hold and `others` do not."""
    of_others = _holdings(others)
    return sum(n for held, n in _holdings(modules).items() if held not in of_others)


def require_same_weights(before: int, after: int) -> None:
    """Checks the bytes of weights before a stack was applied and after it was undone.

    Raises:
        SolError: They differ.
    """
    if before != after:
        raise SolError(
            f"Undo must leave the weights that were there: {before} bytes before, {after} after."
        )


def _holdings(modules: Iterable[nn.Module]) -> dict[object, int]:
    held: dict[object, int] = {}
    for root in modules:
        for whole in (*root.parameters(), *root.buffers()):
            for tensor in _plain_tensors(whole):
                storage = tensor.untyped_storage()
                held[(tensor.device, storage.data_ptr())] = storage.nbytes()
        for module in root.modules():
            packed = getattr(module, "packed_bytes", None)
            if isinstance(packed, int):
                held[id(module)] = packed
    return held


def _plain_tensors(tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """The tensor, or those that a quantised one is made of, which has no storage of its own."""
    if not is_traceable_wrapper_subclass(tensor):
        yield tensor
        return
    names, _ = tensor.__tensor_flatten__()
    for name in names:
        yield from _plain_tensors(getattr(tensor, name))


def cuda_peak_bytes(run: Callable[[], object], device: str) -> int:
    """The allocator's peak on `device` while `run` runs, in bytes."""
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device)
