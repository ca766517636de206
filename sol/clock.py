"""The clock: where a running pipeline is. Everything scheduled asks it; nothing counts calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

Branch = Literal["both", "cond", "uncond"]


@dataclass
class Clock:
    """Position in the current video. `sol.runtime.ticker` moves it, techniques read it.

    Attributes:
        video: How many videos have begun; 0 before the first.
        step: The denoising step, from 0.
        n_steps: Steps in this video.
        sigma: Noise level of this step, if the scheduler has sigmas.
        branch: Which guidance branch the denoiser is computing; "both" for batched guidance.
        is_guided: Whether this video is made with classifier-free guidance.
    """

    video: int = 0
    step: int = 0
    n_steps: int = 0
    sigma: float | None = None
    branch: Branch = "both"
    is_guided: bool = False
    _on_video: list[Callable[[], None]] = field(default_factory=list, repr=False)

    def begin_video(self, n_steps: int, sigma: float | None, is_guided: bool = False) -> None:
        """Starts a new video and lets every subscriber forget the one before."""
        self.video += 1
        self.step = 0
        self.n_steps = n_steps
        self.sigma = sigma
        self.branch = "both"
        self.is_guided = is_guided
        for forget in list(self._on_video):
            forget()

    def advance(self, sigma: float | None) -> None:
        """Moves to the next denoising step."""
        self.step += 1
        self.sigma = sigma

    def on_video(self, forget: Callable[[], None]) -> Callable[[], None]:
        """Calls `forget` whenever a video begins; returns what ends the subscription."""
        self._on_video.append(forget)
        return lambda: self._on_video.remove(forget)
