"""The computed calls that a cache keeps for one video, counted and bounded in bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from sol.skills.cache.memory import MEGABYTE, bytes_of
from sol.skills.cache.skipping.reuse import Mix, ReuseKind, depth_of, needs_input


@dataclass
class _Track:
    """The last computed calls of one guidance branch."""

    positions: list[float] = field(default_factory=list)
    residuals: list[torch.Tensor] = field(default_factory=list)
    last_input: torch.Tensor | None = None


@dataclass
class History:
    """Residuals of computed calls, by guidance branch.

    Attributes:
        max_mb: Megabytes (2**20 bytes) that may be held; a call that would exceed them is not
            kept, and nothing can be predicted from it.
        bytes_peak: The most that was ever held.
        refused: Calls that were not kept for want of room.
    """

    kind: ReuseKind
    max_mb: float
    bytes_peak: int = 0
    refused: int = 0
    _tracks: dict[str, _Track] = field(default_factory=dict)

    def positions(self, branch: str, like: torch.Tensor) -> tuple[float, ...]:
        """Positions of the calls from which one with the input `like` can be predicted."""
        track = self._tracks.get(branch)
        if track is None or not track.residuals or track.residuals[-1].shape != like.shape:
            return ()
        return tuple(track.positions)

    def keep(
        self, branch: str, position: float, x: torch.Tensor, y: torch.Tensor, beside: int = 0
    ) -> None:
        """Keeps a computed call; the oldest beyond the depth of the prediction goes.

        Args:
            beside: Bytes that the cache holds elsewhere; they count against the same limit.
        """
        track = self._tracks.setdefault(branch, _Track())
        if track.residuals and track.residuals[-1].shape != y.shape:
            self._tracks[branch] = track = _Track()
        self._drop_oldest(track)
        n_tensors = 2 if needs_input(self.kind) and track.last_input is None else 1
        room = self.max_mb * MEGABYTE - beside - self._held()
        if n_tensors * bytes_of([y]) > room:
            self._tracks[branch] = _Track()
            self.refused += 1
            return
        # Tensors of its own: what edits x or y in place later must not reach them.
        track.residuals.append((y - x).detach())
        track.positions.append(position)
        if needs_input(self.kind):
            track.last_input = x.detach().clone()
        self.bytes_peak = max(self.bytes_peak, self._held() + beside)

    def predict(self, branch: str, x: torch.Tensor, mix: Mix) -> torch.Tensor:
        """x + sum_i w_i r_i + s (x - x_last), for the weights of `mix`."""
        track = self._tracks[branch]
        predicted = x
        for weight, residual in zip(mix.past, track.residuals[-len(mix.past) :], strict=True):
            if weight:
                predicted = torch.add(predicted, residual, alpha=weight)
        if mix.shift and track.last_input is not None:
            predicted = torch.add(predicted, x - track.last_input, alpha=mix.shift)
        return predicted

    def clear(self) -> None:
        """Forgets everything but what was counted."""
        self._tracks.clear()

    def _drop_oldest(self, track: _Track) -> None:
        if len(track.residuals) == depth_of(self.kind):
            track.residuals.pop(0)
            track.positions.pop(0)

    def _held(self) -> int:
        return sum(
            bytes_of((*track.residuals, track.last_input)) for track in self._tracks.values()
        )
