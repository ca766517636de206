"""One video's stages, and the noise that all its grids share."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sol.clock import Clock
from sol.errors import ConfigError
from sol.skills.token_pruning.dvg.allocation import Stages, choose_stages
from sol.skills.token_pruning.dvg.demand import demand
from sol.skills.token_pruning.dvg.resampling import Sizes
from sol.skills.token_pruning.dvg.settings import DVGConfig, Stage
from sol.skills.token_pruning.dvg.stages import find_stage, sizes_of

_LEAST_FIRST_SIGMA = 0.9


@dataclass
class CoarseVideo:
    """What the calls of one video share, whichever expert makes them.

    Attributes:
        noise: The latents before the first step, laid out on the full grid.
        full: The full grid, in tokens.
        prediction: Clean latents as last predicted, on the grid of the first stage; kept where
            the content chooses the next ones.
    """

    config: DVGConfig
    clock: Clock
    stages: Stages = ()
    noise: Tensor | None = None
    full: Sizes | None = None
    prediction: Tensor | None = None
    n_coarse_steps: int = 0
    n_tokens_saved: int = 0
    n_transitions: int = 0
    _counted_step: tuple[int, int] = (0, 0)

    @property
    def stage(self) -> Stage | None:
        """The stage of the present step; None after the last, and outside of a video."""
        return find_stage(self.stages, self.clock.step) if self.clock.n_steps else None

    def begin(self) -> None:
        """A new video begins.

        Raises:
            ConfigError: It cannot be made in these stages.
        """
        first, then = self.config.first, self.config.then
        self.stages = tuple(stage for stage in (first, *then) if stage.until_step > 0)
        self.noise = self.full = self.prediction = None
        if self.config.ends[-1] > 0:
            _check_video(self.config.ends[-1], self.clock)

    def begin_step(self) -> None:
        """Lets what is remembered of another grid be forgotten before the step's first call."""
        if self.full is None:
            return
        before = sizes_of(find_stage(self.stages, self.clock.step - 1), self.full)
        if self.config.content and self.clock.step == self.config.until_step:
            self._choose()
        if sizes_of(self.stage, self.full) != before:
            self.n_transitions += 1
            self.clock.begin_stage()

    def see(self, latents: Tensor, full: Sizes) -> None:
        """Keeps the noise, which the first call of a video is given as its latents."""
        if self.noise is None:
            # In single precision and a tensor of its own: the pipeline may write into its one.
            self.noise, self.full = latents.detach().float().clone(), full

    def get_noise(self, n_batch: int) -> tuple[float, Tensor]:
        """The noise level of this step, and the noise of a call's batch.

        All branches of guidance begin with the same noise: a call of one of them, beside one that
        has two in its batch, has the first rows.
        """
        sigma, noise = self.clock.sigma, self.noise
        assert sigma is not None, "checked when the video began"
        assert noise is not None, "see() was called"
        return sigma, noise[:n_batch]

    def count(self, n_tokens_saved: int) -> None:
        """Counts a call on a coarse grid."""
        self.n_tokens_saved += n_tokens_saved
        step = (self.clock.video, self.clock.step)
        self.n_coarse_steps += step != self._counted_step
        self._counted_step = step

    def observe(self, x0: Tensor) -> None:
        """Keeps the conditional prediction of the first stage, if the content is to choose."""
        is_first = self.clock.step < self.config.until_step
        if self.config.content is None or not is_first or not self.clock.is_first_branch:
            return
        self.prediction = x0.chunk(2)[1] if self.clock.has_both_branches else x0

    def _choose(self) -> None:
        choice, x0, full = self.config.content, self.prediction, self.full
        self.prediction = None
        if choice is None or x0 is None or full is None:
            return
        needs = demand(x0, choice.temperature)
        self.stages = choose_stages(self.config.first, choice, needs, full, self.clock.n_steps)


def _check_video(last_end: int, clock: Clock) -> None:
    if last_end >= clock.n_steps:
        raise ConfigError(
            f"Coarse grids last until step {last_end}, the video has {clock.n_steps} steps: at "
            "least the last one needs the full grid. End the stages earlier, or make more steps."
        )
    sigma = clock.sigma_at(0)
    if sigma is None or not _LEAST_FIRST_SIGMA <= sigma <= 1.0:
        raise ConfigError(
            "Coarse grids need a flow-matching scheduler and a video that begins as pure noise, "
            f"at noise level 1; this one begins at {sigma}. Leave dvg out."
        )
