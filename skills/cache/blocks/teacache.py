"""TeaCache: skip the blocks while the modulated input of the first one has hardly moved.

Liu et al., "Timestep Embedding Tells: It's Time to Cache for Video Diffusion Model", arXiv
2411.19108. The relative L1 change of the signal against the step before, d, is mapped to the
change of the output that it announces by a polynomial of degree four; |p(d)| is summed up, and the
blocks are skipped while the sum stays below the threshold.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field

from sol.clock import Clock
from sol.errors import NotApplicableError
from sol.forward_arguments import argument_reader
from sol.roles import Capability, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.skills.cache.blocks.block_skip import Signal, install_block_skip
from sol.skills.cache.skipping.distance import relative_l1
from sol.skills.cache.skipping.skip_settings import SkipSettings, StepDecisions
from sol.skills.cache.skipping.skip_space import latest_warmup, skip_knobs
from sol.space import Float, Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique

Coefficients = tuple[float, float, float, float, float]
SignalName = Literal["modulated_input", "timestep"]

_DEGREE = 4
_NO_SCALING: Coefficients = (0.0, 0.0, 0.0, 1.0, 0.0)
"""p(d) = d: the change of the signal taken for the change of the output."""


@dataclass(frozen=True, kw_only=True)
class TeaCacheConfig(SkipSettings):
    """Settings.

    Attributes:
        threshold: Sum of announced output changes up to which the blocks are skipped; 0 skips
            none.
        coefficients: Of the polynomial, degree 4 first, as numpy.polyfit returns them.
        signal: What is watched: the normalised, modulated input of the first self-attention, or
            the timestep embedding that the first block is given.
    """

    __pydantic_config__ = STRICT

    threshold: Annotated[float, Field(ge=0.0, le=10.0)] = 0.1
    coefficients: Coefficients = _NO_SCALING
    signal: SignalName = "modulated_input"


@dataclass
class _Criterion:
    """The skip policy of one denoiser."""

    config: TeaCacheConfig
    decisions: StepDecisions
    before: dict[str, torch.Tensor] = field(default_factory=dict)
    error: float = 0.0

    def should_skip(self, branch: str, signal: torch.Tensor) -> bool:
        decided = self.decisions.find(branch)
        if decided is not None:
            return decided
        before = self.before.get(branch)
        skips = self.decisions.decide(branch, lambda: self._wants_to_skip(before, signal))
        self.before[branch] = signal.detach()
        return skips

    def observe(self, branch: str, x: torch.Tensor, y: torch.Tensor) -> None:
        self.error = 0.0

    def forget(self) -> None:
        self.before.clear()
        self.decisions.forget()
        self.error = 0.0

    def held(self) -> Iterable[torch.Tensor]:
        return self.before.values()

    def _wants_to_skip(self, before: torch.Tensor | None, signal: torch.Tensor) -> bool:
        if before is None:
            return False
        change = relative_l1(signal, before)
        self.error += abs(float(np.polyval(self.config.coefficients, change)))
        return self.error < self.config.threshold


def install(roles: Roles, config: TeaCacheConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Puts the criterion in front of the blocks of every denoiser."""

    def make_signal(denoiser: DenoiserRoles) -> Signal:
        read = signal_reader(denoiser, config.signal)
        return lambda entry: read(entry.args, entry.kwargs)

    return install_block_skip(
        roles,
        clock,
        config,
        lambda: _Criterion(config, StepDecisions(config, schedule, clock)),
        make_signal,
    )


def signal_reader(
    denoiser: DenoiserRoles, name: SignalName
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], torch.Tensor]:
    """Reads a signal from the arguments of a denoiser's first block.

    Raises:
        NotApplicableError: The family has no such signal.
    """
    if name == "timestep" and denoiser.timestep_embedding is not None:
        return argument_reader(denoiser.blocks[0], denoiser.timestep_embedding)
    if denoiser.modulated_input is None:
        raise NotApplicableError(
            f"{denoiser.name} has no modulated input: use signal 'timestep' for teacache."
        )
    return denoiser.modulated_input


def fit_coefficients(
    signal_change: Sequence[float], output_change: Sequence[float]
) -> Coefficients:
    """The polynomial from change of the signal to change of the output, by least squares.

    Of degree four, or less where there are too few steps to fit it.
    """
    degree = min(_DEGREE, len(signal_change) - 2)
    if degree < 1:
        return _NO_SCALING
    with warnings.catch_warnings():
        # A signal that changes evenly fits many polynomials; any of them will do.
        warnings.simplefilter("ignore", np.exceptions.RankWarning)
        fitted = np.polyfit(signal_change, output_change, degree)
    padded = np.concatenate([np.zeros(_DEGREE + 1 - len(fitted)), fitted])
    a, b, c, d, e = (float(f"{value:.8g}") for value in padded)
    return (a, b, c, d, e)


def space(context: SpaceContext) -> Space:
    """Published coefficients where this denoiser has them, fitted ones otherwise."""
    fixed, thresholds = _calibration(context)
    n_steps = context.workload.steps
    warmup = min(3, latest_warmup(n_steps))
    return Space(
        knobs={
            "threshold": Float(0.01, 2.0, log=True, bolder="up"),
            **skip_knobs(n_steps),
        },
        first=tuple(
            {"threshold": threshold, "warmup": warmup, "max_skips": 4, "reuse": "residual"}
            for threshold in thresholds
        ),
        fixed=fixed,
    )


def _calibration(context: SpaceContext) -> tuple[dict[str, Any], tuple[float, ...]]:
    published = context.roles.denoisers[0].published_teacache
    if published is not None:
        fixed = {"coefficients": list(published.coefficients), "signal": published.signal}
        return fixed, published.thresholds
    redundancy = context.diagnosis.redundancy
    if redundancy is None:
        return {}, (0.1, 0.2)
    fitted = fit_coefficients(
        redundancy.signal_change["modulated_input"], redundancy.output_change
    )
    # One or two steps' worth of change: what skipping every second or two of three would use.
    typical = float(np.median(redundancy.output_change))
    thresholds = tuple(float(f"{n * typical:.3g}") for n in (1.5, 2.5))
    return {"coefficients": list(fitted), "signal": "modulated_input"}, thresholds


TEACACHE = Technique(
    name="teacache",
    skill="cache",
    summary="skip the blocks while their modulated input has hardly moved",
    exactness="lossy",
    requires=frozenset({Capability.BLOCK_RESIDUAL, Capability.MODULATED_INPUT}),
    reads=frozenset({Seam.TOKEN_SET}),
    writes=frozenset({Seam.STEP_OUTPUT, Seam.BLOCK_RESIDUAL}),
    phase=Phase.BLOCKS,
    config=TeaCacheConfig,
    install=install,
    space=space,
    protects={"warmup": "first", "tail": "last"},
    identity={"threshold": 0.0},
    schedulable=frozenset({"steps"}),
    saves=lambda diagnosis: diagnosis.denoise_s,
    source="arXiv 2411.19108",
)
