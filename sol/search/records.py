"""What agents, workers and the orchestrator tell each other: plain data, no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, inf
from statistics import median
from typing import Any, Literal

from sol.space import Space
from sol.target import Hardware, Model, Workload
from sol.technique import Stack, StackItem

Status = Literal["measured", "over_budget", "no_effect", "failed"]

_LONGEST_SHOWN = 4
"""Entries of the longest sequence in a label: what is longer is a table, not a setting."""


@dataclass(frozen=True)
class Offer:
    """One technique that an agent may propose on this target.

    Attributes:
        bound: Amdahl's bound on its own speed-up; None where only its skill's is known.
        origins: Where the leading ones of the space's first settings come from; those after them
            are the technique's own.
    """

    technique: str
    space: Space
    exactness: str
    bound: float | None = None
    origins: tuple[str, ...] = ()

    def origin_of(self, first: int) -> str:
        """Where the first setting at this place, from 0, comes from."""
        return self.origins[first] if first < len(self.origins) else "published or simplest"


@dataclass(frozen=True)
class QualityFloor:
    """What the gate will demand, for a search to aim at on prompts of its own. PSNR in dB.

    Attributes:
        psnr: Of the mean over the prompts.
        worst_psnr: Of every single video.
    """

    psnr: float
    worst_psnr: float

    def margin_of(self, quality: Quality) -> float:
        """dB by which `quality` clears the floor; negative where it falls short."""
        return min(quality.psnr - self.psnr, quality.worst_psnr - self.worst_psnr)

    def find_shortfall(self, quality: Quality) -> str | None:
        """In which respect `quality` falls short, or None if it does not."""
        if quality.worst_psnr < self.worst_psnr:
            return f"a video of {quality.worst_psnr:.1f} dB, {self.worst_psnr:.1f} dB needed"
        if quality.psnr < self.psnr:
            return f"{quality.psnr:.1f} dB on calibration, {self.psnr:.1f} dB needed"
        return None


@dataclass(frozen=True)
class Brief:
    """What an agent knows before its first proposal.

    Attributes:
        bound: Amdahl's bound on the speed-up of the whole skill.
        floor: Calibration quality below which a setting is of no use.
        noise: How far from 1 the speed-up of nothing reads: 0.03 for up to 1.03x.
    """

    skill: str
    offers: tuple[Offer, ...]
    bound: float
    reason: str
    floor: QualityFloor
    max_trials: int
    seed: int
    noise: float = 0.0

    def bound_of(self, offer: Offer) -> float:
        """The technique's own bound, or its skill's where it has none."""
        return self.bound if offer.bound is None else offer.bound


@dataclass(frozen=True)
class Proposal:
    """One setting that an agent wants measured, and why; or a stack that the integrator does.

    Attributes:
        technique: Of a stack "".
        known: The best that the other agents had posted by then.
        knobs: The keys of `config` that were chosen; the others follow from them.
        members: Of a stack, what stands in it; its `config` is empty.
        title: Of a stack, its label.
    """

    number: int
    skill: str
    technique: str
    config: Mapping[str, Any]
    hypothesis: str
    expected_speedup: float
    known: str = ""
    knobs: tuple[str, ...] = ()
    members: Stack = ()
    title: str = ""

    @property
    def stack(self) -> Stack:
        """What is to be measured."""
        return self.members or (StackItem(self.technique, self.config),)

    @property
    def label(self) -> str:
        """For people: the technique and what was chosen, without calibrated tables."""
        return self.title or describe_setting(self.technique, self.config, self.knobs)


@dataclass(frozen=True)
class Speed:
    """A paired speed-up: median and its 95% interval over `n` pairs, and the seconds behind it."""

    median: float
    low: float
    high: float
    n: int
    baseline_s: tuple[float, ...]
    accelerated_s: tuple[float, ...]


@dataclass(frozen=True)
class ColdStart:
    """Seconds of a stack's start in a process of its own, with empty caches of compiled code.

    Attributes:
        install_s: Of installing it: weights are quantised and packed then.
        first_s: Of the first video, in which code is compiled.
        steady_s: Of a later one.
    """

    install_s: float
    first_s: float
    steady_s: float

    @property
    def first_extra_s(self) -> float:
        """Of the first video beyond a later one."""
        return max(0.0, self.first_s - self.steady_s)

    def find_break_even(self, speed: Speed) -> int | None:
        """The number of videos after which the start is paid for, or None where none saves time.

        A video saves the difference of the medians of `speed`.
        """
        saved_s = median(speed.baseline_s) - median(speed.accelerated_s)
        return ceil((self.install_s + self.first_extra_s) / saved_s) if saved_s > 0 else None


@dataclass(frozen=True)
class Quality:
    """Calibration quality: means over the prompts that were rendered.

    Attributes:
        psnr: dB, against the baseline of the same prompt and seed.
        worst_psnr: The lowest of any prompt.
        rough_speedup: Baseline over accelerated seconds, not interleaved and beside other work:
            enough to rank, never reported as a speed-up.
    """

    psnr: float
    worst_psnr: float
    ssim: float
    rough_speedup: float
    n: int
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class GlanceLimits:
    """Relative errors from which a glance at a stack need go no further; see `Glance`."""

    call_error: float = inf
    latent_error: float = inf


@dataclass(frozen=True)
class Glance:
    """What one prompt's run told of a stack, as far as it came.

    Attributes:
        call_error: |output - baseline's| / |baseline's| of single calls of the denoiser on
            recorded inputs; None where the stack does not show in single calls.
        latent_error: The same of the final latents; None where the run ended before them.
        steps: How many steps were taken.
        least_update: Over the steps but the first, by how much the latents were changed, as a
            share of what the baseline changed them by; None before the second step. `most_update`
            likewise.
        is_finite: Whether all that was looked at was.
    """

    call_error: float | None
    latent_error: float | None
    steps: int
    least_update: float | None
    most_update: float | None
    is_finite: bool
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What became of a proposal. Every trial has one, whatever happened to it.

    Attributes:
        glance: What the first look told, where there was one.
    """

    status: Status
    reason: str = ""
    quality: Quality | None = None
    speed: Speed | None = None
    seconds: float = 0.0
    glance: Glance | None = None


@dataclass(frozen=True)
class Finding:
    """What an agent posts for the others: a fact and the data behind it.

    Attributes:
        speedup: Of the setting that the finding is about; None where it is about the target, or
            about where quality ends.
    """

    skill: str
    text: str
    data: Mapping[str, float | str]
    speedup: float | None = None


@dataclass(frozen=True)
class FrontierPoint:
    """A setting that nothing of its technique beats in both speed and quality.

    Attributes:
        guard: The knobs of a bolder setting that was measured and held as well, if one was.
    """

    proposal: Proposal
    quality: Quality
    speed: Speed
    guard: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class WorkerInfo:
    """What a measuring worker found when it loaded the target."""

    model: Model
    hardware: Hardware
    workload: Workload
    prompts: str
    device_key: str
    load_s: float
    versions: Mapping[str, str]


def describe_setting(technique: str, config: Mapping[str, Any], knobs: tuple[str, ...]) -> str:
    """For people: the technique and what was chosen, without calibrated tables."""
    shown = ((key, config[key]) for key in knobs or tuple(config) if not is_table(config[key]))
    return " ".join([technique, *(f"{key}={value}" for key, value in shown)])


def is_table(value: object) -> bool:
    return isinstance(value, list | tuple | Mapping) and len(value) > _LONGEST_SHOWN
