"""Checkpoints of a training run, written whole or not at all."""

from pathlib import Path
from typing import Any

import torch


def save_checkpoint(state: dict[str, Any], path: Path) -> None:
    """Writes `state`; a reader sees the old file or the new one, never half of one."""
    fresh = path.with_suffix(".tmp")
    torch.save(state, fresh)
    fresh.replace(path)


def find_checkpoint(path: Path) -> dict[str, Any] | None:
    """Reads the checkpoint at `path`; None if there is none yet."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    return state
