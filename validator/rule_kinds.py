"""The kinds of rules that a gate profile may hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from sol.target import STRICT
from sol.validator.metrics.table import PAIRED_METRICS, VIDEO_METRICS
from sol.validator.vbench.dimensions import DIMENSIONS

VBENCH_PREFIX = "vbench_"
VBENCH_QUALITY = f"{VBENCH_PREFIX}quality"
VBENCH_METRICS = (VBENCH_QUALITY, *(f"{VBENCH_PREFIX}{name}" for name in DIMENSIONS))
"""The quality aggregate, and each dimension."""


def one_of(kind: str, known: tuple[str, ...]) -> AfterValidator:
    """Refuses a name that is not known; the known ones are listed."""

    def check(name: str) -> str:
        if name not in known:
            raise ValueError(f"unknown {kind}, known: {', '.join(sorted(known))}")
        return name

    return AfterValidator(check)


VideoMetric = Annotated[str, one_of("video metric", (*VIDEO_METRICS, *VBENCH_METRICS))]
PairedMetric = Annotated[str, one_of("paired metric", tuple(PAIRED_METRICS))]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Difference:
    """Lower bound of the mean of accelerated - baseline: at least -margin.

    Attributes:
        stratum: A wider margin, which each kind of prompts by itself must hold.
        worst: The most that one prompt may lose; how many may lose more, the profile's tail says.
    """

    __pydantic_config__ = STRICT

    metric: VideoMetric
    kind: Literal["difference"]
    margin: NotNegative
    stratum: NotNegative | None = None
    worst: NotNegative | None = None

    def __post_init__(self) -> None:
        for name in ("stratum", "worst"):
            limit = getattr(self, name)
            if limit is not None and limit < self.margin:
                raise ValueError(f"{name} must be at least the margin {self.margin}, got {limit}")


@dataclass(frozen=True)
class Floor:
    """Lower bound of the mean of a paired metric: at least margin.

    Attributes:
        stratum: A lower floor, which each kind of prompts by itself must hold.
        worst: The least for one prompt; how many may have less, the profile's tail says.
    """

    __pydantic_config__ = STRICT

    metric: PairedMetric
    kind: Literal["floor"]
    margin: Finite
    stratum: Finite | None = None
    worst: Finite | None = None

    def __post_init__(self) -> None:
        for name in ("stratum", "worst"):
            limit = getattr(self, name)
            if limit is not None and limit > self.margin:
                raise ValueError(f"{name} must be at most the margin {self.margin}, got {limit}")


@dataclass(frozen=True)
class Ratio:
    """Mean accelerated over mean baseline: inside [low, high] by both one-sided bounds.

    Attributes:
        high: None where more is no harm.
    """

    __pydantic_config__ = STRICT

    metric: VideoMetric
    kind: Literal["ratio"]
    low: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    high: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None


def _no_repeats(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    counts = Counter((rule.metric, rule.kind) for rule in rules)
    for (metric, kind), count in counts.items():
        if count > 1:
            raise ValueError(f"{metric} has {count} rules of kind {kind}, keep one")
    return rules


Rule = Annotated[Difference | Floor | Ratio, Field(discriminator="kind")]
Rules = Annotated[tuple[Rule, ...], AfterValidator(_no_repeats)]
