"""The clock: where a running pipeline is. Everything scheduled asks it; nothing counts calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sol.schedule import Schedule

Branch = Literal["both", "cond", "uncond", "stg", "modality"]
"""Guidance branches: both in one batch; one of the two; and the calls that some models add, with
perturbed attention (spatio-temporal guidance) or without attention between sound and video."""


@dataclass
class Clock:
    """Position in the current video. `sol.runtime.ticker` moves it, techniques read it.

    Attributes:
        video: How many videos have begun; 0 before the first.
        step: The denoising step, from 0.
        n_steps: Steps in this video.
        branch: Which guidance branch the denoiser is computing.
        sigmas: Noise levels of the video's steps, as far as the scheduler has them.
        is_guided: Whether this video is made with classifier-free guidance.
    """

    video: int = 0
    step: int = 0
    n_steps: int = 0
    branch: Branch = "both"
    sigmas: tuple[float, ...] = ()
    is_guided: bool = False
    _on_video: list[Callable[[], None]] = field(default_factory=list, repr=False)
    _on_stage: list[Callable[[], None]] = field(default_factory=list, repr=False)
    _on_step: list[Callable[[], None]] = field(default_factory=list, repr=False)

    @property
    def sigma(self) -> float | None:
        """Noise level of this step, if the scheduler has any."""
        return self.sigma_at(self.step)

    @property
    def position(self) -> float:
        """Where the video stands on its trajectory: its noise level, or else its step."""
        return float(self.step) if self.sigma is None else self.sigma

    @property
    def has_both_branches(self) -> bool:
        """Whether the call has both guidance branches in its batch, the conditional one last."""
        return self.is_guided and self.branch == "both"

    @property
    def is_first_branch(self) -> bool:
        """Whether the call is the one that a step makes first, with the prompt in it."""
        return self.branch in ("both", "cond")

    def sigma_at(self, step: int) -> float | None:
        """Noise level of a step of this video."""
        return self.sigmas[step] if step < len(self.sigmas) else None

    def begin_video(
        self, n_steps: int, sigmas: Sequence[float] = (), is_guided: bool = False
    ) -> None:
        """Starts a new video and lets every subscriber forget the one before."""
        self.video += 1
        self.step = 0
        self.n_steps = n_steps
        self.sigmas = tuple(sigmas)
        self.branch = "both"
        self.is_guided = is_guided
        for forget in list(self._on_video):
            forget()

    def advance(self) -> None:
        """Moves to the next denoising step."""
        self.step += 1
        for note in list(self._on_step):
            note()

    def begin_stage(self) -> None:
        """Lets subscribers forget earlier steps: the blocks' tokens lie on another grid now."""
        for forget in list(self._on_stage):
            forget()

    def on_video(
        self, forget: Callable[[], None], *, and_stage: bool = True
    ) -> Callable[[], None]:
        """Calls `forget` whenever a video begins; returns what ends the subscription.

        Args:
            and_stage: Also when, within a video, the grid of the blocks' tokens changes.
        """
        lists = [self._on_video, self._on_stage] if and_stage else [self._on_video]
        for subscribers in lists:
            subscribers.append(forget)

        def end() -> None:
            for subscribers in lists:
                subscribers.remove(forget)

        return end

    def on_step(self, note: Callable[[], None]) -> Callable[[], None]:
        """Calls `note` whenever a step is over, `step` being the next one already."""
        self._on_step.append(note)
        return lambda: self._on_step.remove(note)


def is_between_edges(clock: Clock, schedule: Schedule, first: int, last: int) -> bool:
    """Whether the step is one of the schedule's, not among the `first` and not among the `last`.

    A call outside of a video, as calibration makes it, has no place at either end.
    """
    step, n_steps = clock.step, clock.n_steps
    if n_steps == 0:
        return True
    return first <= step < n_steps - last and step in schedule.active_steps(n_steps)
