"""A cache in front of calls that map x to y: a policy decides, a history predicts.

What the caches of whole denoiser calls (`step_skip`) and of runs of blocks (`block_skip`) share.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import torch

from sol.clock import Clock
from sol.skills.cache.memory import bytes_of
from sol.skills.cache.skipping.history import History
from sol.skills.cache.skipping.reuse import mix_of
from sol.skills.cache.skipping.skip_settings import ReuseSettings
from sol.technique import Evidence


class SkipPolicy(Protocol):
    """Decides which calls are skipped. Knows nothing of how.

    A call is only ever skipped where its branch has computed one in the same video.
    """

    def should_skip(self, branch: str, signal: torch.Tensor) -> bool:
        """Whether this call may be skipped. Called once for every call, with what it watches."""
        ...

    def observe(self, branch: str, x: torch.Tensor, y: torch.Tensor) -> None:
        """Told of every call that was computed."""
        ...

    def forget(self) -> None:
        """A new video begins: no state crosses."""
        ...

    def held(self) -> Iterable[torch.Tensor]:
        """The tensors that it keeps."""
        ...


@dataclass
class CallCache:
    """One policy and the history that it skips by."""

    policy: SkipPolicy
    settings: ReuseSettings
    clock: Clock
    computed: int = 0
    skipped: int = 0
    history: History = field(init=False)

    def __post_init__(self) -> None:
        self.history = History(self.settings.reuse, self.settings.max_mb)

    def find_prediction(self, x: torch.Tensor, signal: torch.Tensor) -> torch.Tensor | None:
        """What a call with input `x` returns if it is skipped, or None if it is to be computed."""
        branch = self.clock.branch
        positions = self.history.positions(branch, x)
        if not self.policy.should_skip(branch, signal) or not positions:
            return None
        self.skipped += 1
        settings, clock = self.settings, self.clock
        mix = mix_of(
            settings.reuse,
            positions,
            clock.position,
            clock.step / max(clock.n_steps, 1),
            settings.ridge,
        )
        return self.history.predict(branch, x, mix)

    def record(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """Learns from a computed call."""
        self.computed += 1
        self.policy.observe(self.clock.branch, x, y)
        self.history.keep(
            self.clock.branch, self.clock.position, x, y, bytes_of(self.policy.held())
        )

    def forget(self) -> None:
        """A new video begins."""
        self.history.clear()
        self.policy.forget()


def evidence_of(caches: Iterable[CallCache], unit: str = "calls") -> Evidence:
    """What some caches counted together."""
    listed = list(caches)
    skipped = sum(cache.skipped for cache in listed)
    counts = {
        f"{unit}_computed": sum(cache.computed for cache in listed),
        f"{unit}_skipped": skipped,
        "bytes_held": sum(cache.history.bytes_peak for cache in listed),
        "not_kept": sum(cache.history.refused for cache in listed),
    }
    return Evidence(skipped > 0, counts)
