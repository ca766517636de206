"""The guidance scale that an accelerated run amounts to.

A technique that changes how strongly the prompt is followed can look better, or just different,
for that reason alone: methods are compared at equal effective guidance (GA-Eval,
arXiv 2602.22570). At the latents x_k of the accelerated run's own step k, with v_u and v_c the
unmodified denoiser's unconditional and conditional outputs there, d = v_c - v_u and v the guided
output that the accelerated run gave to its scheduler,

    w_k = <v - v_u, d> / <d, d>

is the least-squares guidance scale of the step. It is exactly the guidance scale for a run that
follows the denoiser. The part of v outside of the line v_u + w d is the residual.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from sol.clock import Clock
from sol.errors import SolError
from sol.measure.guided_steps import GuidedStep, watch_steps
from sol.roles import DenoiserRoles

_LEAST_TOLERANCE = 1e-4
_ROUNDINGS = 4
"""Units of the denoiser's precision by which its own guided output may leave its line."""

Teach = Callable[[Callable[[int, torch.Tensor], torch.Tensor]], object]
"""Makes a video; gives its function (step, latents after it), which says what to go on with."""


class GuidanceError(SolError):
    """A run whose effective guidance cannot be measured although the baseline's can."""


@dataclass(frozen=True)
class EffectiveGuidance:
    """What a run's guidance amounts to.

    Attributes:
        scale: w over all steps: sum of <v - v_u, d> over sum of <d, d>.
        nominal: The baseline's guidance scale.
        residual: |v - (v_u + w_k d)| over |v_u + w_k d|, norms over all steps.
        by_step: w_k.
    """

    scale: float
    nominal: float
    residual: float
    by_step: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """1 where the run is guided as strongly as the baseline."""
        return self.scale / self.nominal


@dataclass(frozen=True)
class Unmeasurable:
    """Why this target has no effective guidance, whatever is installed on it."""

    reason: str


def measure_effective_guidance(
    steps: Sequence[GuidedStep],
    teach: Teach,
    scheduler: Any,
    denoisers: Sequence[DenoiserRoles],
    clock: Clock,
    nominal: float,
) -> EffectiveGuidance | Unmeasurable:
    """Runs the unmodified pipeline along the latents of `steps` and compares step by step.

    Args:
        steps: The accelerated run's, by `sol.measure.guided_steps.record_steps`.
        teach: Makes the same prompt and seed with the unmodified pipeline.
        scheduler: The unmodified pipeline's.
        denoisers: The unmodified pipeline's.
        clock: Ticks with the unmodified pipeline.
        nominal: Guidance scale of the unmodified pipeline.

    Raises:
        GuidanceError: The run was made with other steps or noise, or is not finite.
    """
    if nominal <= 1.0:
        return Unmeasurable(f"made without guidance: the guidance scale is {nominal:g}")
    if any(len(denoiser.form.names) > 1 for denoiser in denoisers):
        return Unmeasurable(
            "the denoiser makes sound beside the video: the unmodified one would be given the "
            "run's latents of the video, but not those of its sound"
        )
    comparison = _Comparison(steps, clock, nominal)
    with ExitStack() as stack:
        for denoiser in denoisers:
            hook = denoiser.module.register_forward_hook(comparison.noting(denoiser))
            stack.callback(hook.remove)
        stack.callback(watch_steps(scheduler, comparison.add))
        teach(comparison.next_latents)
    return comparison.result()


@dataclass
class _Comparison:
    """Sums over the steps, in double precision: differences of near equals are what counts."""

    accelerated: Sequence[GuidedStep]
    clock: Clock
    nominal: float
    branches: dict[str, torch.Tensor] = field(default_factory=dict)
    projections: list[float] = field(default_factory=list)
    squares: list[float] = field(default_factory=list)
    outside: float = 0.0
    inside: float = 0.0
    obstacle: str = ""
    n_taught: int = 0

    def noting(self, denoiser: DenoiserRoles) -> Callable[..., None]:
        """Keeps what the unmodified denoiser made of this step."""

        def note(_: nn.Module, __: Any, output: Any) -> None:
            self.branches[self.clock.branch] = denoiser.read_prediction(output).detach().clone()

        return note

    def next_latents(self, step: int, latents: torch.Tensor) -> torch.Tensor:
        """The accelerated run's latents instead of those that the step led to."""
        after = step + 1
        return self.accelerated[after].sample if after < len(self.accelerated) else latents

    def add(self, taught: GuidedStep) -> None:
        """Compares one step."""
        run = self._counterpart(taught)
        self.n_taught += 1
        branches, self.branches = self.branches, {}
        self.obstacle = self.obstacle or self._add(run.output, taught.output, branches)

    def _counterpart(self, taught: GuidedStep) -> GuidedStep:
        number = self.n_taught
        if number >= len(self.accelerated):
            raise GuidanceError(self._other_steps("more"))
        run = self.accelerated[number]
        if run.timestep != taught.timestep:
            raise GuidanceError(
                f"Step {number} of the run is at timestep {run.timestep:g}, that of the baseline "
                f"at {taught.timestep:g}: effective guidance compares equal timesteps."
            )
        if not torch.equal(run.sample, taught.sample):
            raise GuidanceError(
                f"Step {number} of the run starts from other latents than the baseline was "
                "given: both must start from the noise of the same seed, in the same precision."
            )
        if not bool(torch.isfinite(run.output).all()):
            raise GuidanceError(f"Step {number} of the run has values that are not finite.")
        return run

    def _add(
        self, output: torch.Tensor, taught: torch.Tensor, branches: dict[str, torch.Tensor]
    ) -> str:
        """Why the step cannot be compared; empty where it was."""
        pair = _split(branches)
        if pair is None:
            return f"step {self.n_taught - 1} has no unconditional prediction to compare with"
        if pair[0].shape != taught.shape:
            return "the pipeline reshapes its denoiser's output before the scheduler"
        uncond, cond = (branch.double() for branch in pair)
        direction = cond - uncond
        guided = uncond + self.nominal * direction
        error = float((taught.double() - guided).norm() / guided.norm().clamp(min=1e-300))
        if not error <= _tolerance(pair[0].dtype):
            return (
                f"the pipeline's own guided output is {error:.1e} away from unconditional + "
                f"{self.nominal:g} * difference: it guides by another rule (guidance rescale?)"
            )
        square = float(direction.square().sum())
        if square == 0.0:
            return "the conditional and the unconditional prediction are the same"
        self._sum_up(output.double(), uncond, direction, square)
        return ""

    def _sum_up(
        self, output: torch.Tensor, uncond: torch.Tensor, direction: torch.Tensor, square: float
    ) -> None:
        projection = float(((output - uncond) * direction).sum())
        on_line = uncond + projection / square * direction
        self.projections.append(projection)
        self.squares.append(square)
        self.outside += float((output - on_line).square().sum())
        self.inside += float(on_line.square().sum())

    def result(self) -> EffectiveGuidance | Unmeasurable:
        """The scales, after the last step."""
        if self.n_taught != len(self.accelerated):
            raise GuidanceError(self._other_steps(str(self.n_taught)))
        if self.obstacle:
            return Unmeasurable(self.obstacle)
        return EffectiveGuidance(
            scale=sum(self.projections) / sum(self.squares),
            nominal=self.nominal,
            residual=math.sqrt(self.outside / self.inside),
            by_step=tuple(p / s for p, s in zip(self.projections, self.squares, strict=True)),
        )

    def _other_steps(self, n_baseline: str) -> str:
        return (
            f"The run has {len(self.accelerated)} steps, the baseline {n_baseline}: effective "
            "guidance compares equal steps."
        )


def _split(branches: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor] | None:
    """(unconditional, conditional), as diffusers batches or calls them."""
    if "cond" in branches and "uncond" in branches:
        return branches["uncond"], branches["cond"]
    if "both" in branches and branches["both"].shape[0] % 2 == 0:
        uncond, cond = branches["both"].chunk(2)
        return uncond, cond
    return None


def _tolerance(dtype: torch.dtype) -> float:
    return max(_LEAST_TOLERANCE, _ROUNDINGS * torch.finfo(dtype).eps)
