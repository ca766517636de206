"""Whether a model fits, before its weights are read.

Two things are assumed. Weights are held in the dtype that is asked for, but for the modules that a
model's class keeps in float32. What a video needs besides is a tenth of the weights that are on
the device at once: little, so that nothing is refused that would run. A long clip needs more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from sol.errors import ModelLoadError
from sol.models.files.model_index import ModelIndex, Part
from sol.models.files.safetensors_header import StoredTensor, read_header
from sol.models.files.weights import find_pickles, find_safetensors
from sol.models.memory.free_memory import find_free_bytes
from sol.models.memory.offload import Offload

HEAD_ROOM = 0.1
"""Of the weights on the device, for activations. An assumption, not a measurement."""

_GIB = 1024**3
_FLOAT32_BYTES = 4


@dataclass(frozen=True)
class PartSize:
    """Bytes of a component's weights once loaded, and of the largest tensor among them."""

    name: str
    n_bytes: int
    largest: int


def estimate_parts(folder: Path, index: ModelIndex, dtype: torch.dtype) -> tuple[PartSize, ...]:
    """The components that have weights, from the headers of their files.

    Raises:
        ModelLoadError: A file is damaged.
    """
    return tuple(_estimate(folder / part.name, part, dtype) for part in index.models)


def estimate_device_bytes(parts: Iterable[PartSize], offload: Offload | None) -> int:
    """Bytes that the device needs for these components, activations included.

    With offloading, a component or a layer at a time is on the device; by groups the next layer
    is fetched meanwhile.
    """
    parts = tuple(parts)
    largest_layer = max((part.largest for part in parts), default=0)
    weights = {
        None: sum(part.n_bytes for part in parts),
        "model": max((part.n_bytes for part in parts), default=0),
        "sequential": largest_layer,
        "group": 2 * largest_layer,
    }[offload]
    return round((1 + HEAD_ROOM) * weights)


def require_room(
    name: str,
    parts: tuple[PartSize, ...],
    device: str,
    offload: Offload | None,
    find_free: Callable[[str], int | None] = find_free_bytes,
) -> None:
    """Checks the device, and the host that the weights come through.

    Raises:
        ModelLoadError: One has too little left, with the remedies.
    """
    needed = {device: estimate_device_bytes(parts, offload)}
    if device != "cpu":
        needed["cpu"] = sum(part.n_bytes for part in parts)
    for place, n_bytes in needed.items():
        free = find_free(place)
        if free is not None and n_bytes > free:
            raise ModelLoadError(_explain(name, parts, place, n_bytes, free, device))


def describe_parts(parts: Iterable[PartSize]) -> str:
    """For people: each component's share, the largest first."""
    ordered = sorted(parts, key=lambda part: part.n_bytes, reverse=True)
    return ", ".join(f"{part.name} {part.n_bytes / _GIB:.2f}" for part in ordered)


def _explain(
    name: str, parts: tuple[PartSize, ...], place: str, needed: int, free: int, device: str
) -> str:
    # `sol tune` measures on clones, which share weights that offloading would move away.
    offloading = (
        "--offload model, sequential or group (not with sol tune), "
        if place == device != "cpu"
        else ""
    )
    besides = (
        f", and {HEAD_ROOM:.0%} more for a video is assumed" if place == device else " to load it"
    )
    return (
        f"{name} needs about {needed / _GIB:.2f} GiB of memory on {place}, where "
        f"{free / _GIB:.2f} GiB are free. Its weights are {describe_parts(parts)} GiB{besides}. "
        f"Use {offloading}--dtype bfloat16 if it is float32, or a smaller model."
    )


def _estimate(folder: Path, part: Part, dtype: torch.dtype) -> PartSize:
    kept = _kept_in_float32(part, dtype)
    sizes = [
        _loaded_bytes(tensor, dtype, kept)
        for path in find_safetensors(folder)
        for tensor in read_header(path)
    ]
    # A pickle does not say what is in it without being run: its size on the disk stands for it.
    sizes = sizes or [path.stat().st_size for path in find_pickles(folder)]
    return PartSize(part.name, sum(sizes), max(sizes, default=0))


def _loaded_bytes(tensor: StoredTensor, dtype: torch.dtype, kept: frozenset[str]) -> int:
    if not tensor.is_floating:
        return tensor.n_bytes
    is_kept = not kept.isdisjoint(tensor.name.split("."))
    return tensor.n_values * (_FLOAT32_BYTES if is_kept else dtype.itemsize)


def _kept_in_float32(part: Part, dtype: torch.dtype) -> frozenset[str]:
    """Names of modules; transformers means some of its lists for float16 alone."""
    names = ["_keep_in_fp32_modules_strict"]
    if part.library != "transformers" or dtype == torch.float16:
        names.append("_keep_in_fp32_modules")
    lists = (getattr(part.model_class, name, None) or () for name in names)
    return frozenset(name for kept in lists for name in kept)
