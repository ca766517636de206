"""Checkpoints of a training run, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sol.models.pocket.training.optimizers import Optimizers


@dataclass(frozen=True)
class TrainingState:
    """What a run that is resumed goes on from.

    Attributes:
        networks: By name.
        losses: One a step.
    """

    networks: Mapping[str, nn.Module]
    optimizer: Optimizers
    losses: list[float] = field(default_factory=list)

    def save(self, path: Path, spent_s: float) -> None:
        """Writes everything, and the seconds used so far."""
        networks = {name: network.state_dict() for name, network in self.networks.items()}
        optimizer = self.optimizer.state_dict()
        state = {"optimizer": optimizer, "losses": self.losses, "spent_s": spent_s}
        save_checkpoint({**networks, **state}, path)

    def restore(self, path: Path) -> float:
        """Takes over the checkpoint, if there is any; returns the seconds it had used."""
        state = find_checkpoint(path)
        if state is None:
            return 0.0
        for name, network in self.networks.items():
            network.load_state_dict(state[name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.losses[:] = state["losses"]
        return float(state["spent_s"])


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
