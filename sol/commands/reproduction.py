"""Whether a recipe's evidence and what was measured here agree. Pure comparisons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sol.measure.stats import t_lower
from sol.recipe import Measured, Memory, QualityCheck
from sol.search.worker import MemoryReading
from sol.validator.metrics.table import PAIRED_METRICS, VIDEO_METRICS
from sol.validator.records import PairRecord
from sol.validator.rule_kinds import Difference, Floor
from sol.validator.rules import values_by_prompt

CORE_METRICS = (
    "psnr",
    "ssim",
    "in_step",
    "colour_shift",
    "brightness_steadiness",
    "temporal_flickering",
)
"""What the core dependencies can compute; `sol validate` has the gate's other metrics as well."""

SPEED_TOLERANCE = 0.05
"""Share by which medians of two processes differ beyond what the spread within each explains."""
WEIGHTS_TOLERANCE = 0.01
PEAK_TOLERANCE = 0.10
"""Of resident memory, which an allocator rounds in its own way in each process."""

_CONFIDENCE = 0.95
_NORMAL_QUANTILE = 1.959964
"""Of 97.5%: half of a two-sided 95% interval is this many standard errors."""
_ROUNDED = 1e-5
"""Recipes keep five decimals of a check."""

Value = float | str | None


@dataclass(frozen=True)
class Comparison:
    """One number, or word, of the recipe beside that of this machine.

    Attributes:
        reproduced: None where it is shown and decides nothing.
        detail: The rule, or why there is none.
    """

    what: str
    recipe: Value
    here: Value
    reproduced: bool | None
    detail: str = ""


@dataclass(frozen=True)
class Verification:
    """All comparisons of one recipe."""

    comparisons: tuple[Comparison, ...]

    @property
    def is_reproduced(self) -> bool:
        """Whether something was decided, and nothing against the recipe."""
        decided = [c.reproduced for c in self.comparisons if c.reproduced is not None]
        return bool(decided) and all(decided)

    def to_json(self) -> dict[str, Any]:
        """What `sol verify --json` prints."""
        rows = [
            {
                "what": row.what,
                "recipe": row.recipe,
                "here": row.here,
                "reproduced": row.reproduced,
                "detail": row.detail,
            }
            for row in self.comparisons
        ]
        return {"reproduced": self.is_reproduced, "comparisons": rows}


def compare_speed(recipe: Measured, here: Measured) -> Comparison:
    """Two medians of paired ratios, each with its 95% interval.

    On a logarithmic scale each interval gives a standard error; the difference of two independent
    medians has the root of the sum of their squares. The speed-up is reproduced where the 95%
    interval of here / recipe reaches into 1 -+ `SPEED_TOLERANCE`: intervals hold what varies
    within a process, the tolerance what varies from one process to the next.
    """
    difference = math.log(here.median / recipe.median)
    spread = _NORMAL_QUANTILE * math.hypot(_log_error(recipe), _log_error(here))
    low, high = math.exp(difference - spread), math.exp(difference + spread)
    agrees = low <= 1 + SPEED_TOLERANCE and high >= 1 - SPEED_TOLERANCE
    detail = (
        f"{_interval(recipe)} and {_interval(here)}: here / recipe in [{low:.2f}, {high:.2f}], "
        f"to reach into 1 -+ {SPEED_TOLERANCE:g}"
    )
    return Comparison("speed-up", recipe.median, here.median, agrees, detail)


def show_seconds(what: str, recipe: Measured, here: Sequence[float]) -> Comparison:
    """Seconds of a video: another machine has others, so they decide nothing."""
    middle = median(here)
    detail = (
        f"{_interval(recipe)} and {middle:.2f} in [{min(here):.2f}, {max(here):.2f}] s a video"
    )
    return Comparison(what, recipe.median, middle, None, detail)


def compare_quality(
    checks: Sequence[QualityCheck], pairs: Sequence[PairRecord]
) -> tuple[Comparison, ...]:
    """The gate's means over prompts, on fewer of its prompts.

    A recipe says of each metric that its mean is at least `bound`. That is contradicted where even
    the 95% upper bound of the mean here, by Student's t over the prompts, is below it. Few prompts
    contradict little: `sol validate` decides anew.

    Args:
        checks: The recipe's; those that are not floors or differences of `CORE_METRICS` are left
            out.
    """
    compared = [(check, rule) for check in checks if (rule := _find_rule(check)) is not None]
    return (_compare_sanity(pairs), *(_compare_mean(c, rule, pairs) for c, rule in compared))


def compare_memory(recipe: Memory, here: MemoryReading) -> tuple[Comparison, ...]:
    """Bytes of weights, and by how much the stack raises the peak of one video.

    The peaks themselves decide nothing: on a CPU they hold whatever libraries are installed.
    """
    was, now = (_find_ratio(m.accelerated_peak, m.baseline_peak) for m in (recipe, here))
    is_held = None if was is None or now is None else now <= was * (1 + PEAK_TOLERANCE)
    detail = f"at most {PEAK_TOLERANCE:.0%} above the recipe's" if is_held is not None else ""
    return (
        _compare_weights("baseline weights", recipe.baseline_weights, here.baseline_weights),
        _compare_weights(
            "accelerated weights", recipe.accelerated_weights, here.accelerated_weights
        ),
        Comparison("baseline peak", recipe.baseline_peak, here.baseline_peak, None, "bytes"),
        Comparison(
            "accelerated peak", recipe.accelerated_peak, here.accelerated_peak, None, "bytes"
        ),
        Comparison("peak, with / without", was, now, is_held, detail),
    )


def show_versions(recipe: Mapping[str, str], here: Mapping[str, str]) -> tuple[Comparison, ...]:
    """Versions that differ, to explain other differences; they decide nothing."""
    names = sorted(recipe.keys() | here.keys())
    return tuple(
        Comparison(f"version: {name}", recipe.get(name), here.get(name), None)
        for name in names
        if recipe.get(name) != here.get(name)
    )


def _log_error(measured: Measured) -> float:
    return math.log(measured.high / measured.low) / (2 * _NORMAL_QUANTILE)


def _interval(measured: Measured) -> str:
    return f"{measured.median:.2f} [{measured.low:.2f}, {measured.high:.2f}], n={measured.n}"


def _find_rule(check: QualityCheck) -> Floor | Difference | None:
    metric, _, kind = check.name.rpartition("_")
    if metric not in CORE_METRICS or check.bound is None:
        return None
    if kind == "floor" and metric in PAIRED_METRICS:
        return Floor(metric, "floor", check.margin or 0.0)
    if kind == "difference" and metric in VIDEO_METRICS:
        return Difference(metric, "difference", abs(check.margin or 0.0))
    return None


def _compare_mean(
    check: QualityCheck, rule: Floor | Difference, pairs: Sequence[PairRecord]
) -> Comparison:
    measured = [pair for pair in pairs if pair.paired]
    if len({pair.prompt for pair in measured}) < 2:  # noqa: PLR2004 - one value has no spread
        return Comparison(check.name, check.value, None, False, "fewer than two sound pairs")
    assert check.bound is not None
    values = values_by_prompt(rule, measured)
    mean, upper = float(values.mean()), -t_lower(-values, _CONFIDENCE)
    detail = (
        f"upper bound {upper:.4g} over {values.size} prompts, at least the recipe's lower bound "
        f"{check.bound:.4g} needed"
    )
    agrees = upper >= check.bound - _ROUNDED
    return Comparison(check.name, check.value, mean, agrees, detail)


def _compare_sanity(pairs: Sequence[PairRecord]) -> Comparison:
    bad = [pair for pair in pairs if pair.problems]
    detail = f"videos with a problem, of {len(pairs)}"
    if bad:
        detail += f": {bad[0].prompt!r}: {'; '.join(bad[0].problems)}"
    return Comparison("sanity", 0, len(bad), bool(pairs) and not bad, detail)


def _compare_weights(what: str, recipe: int, here: int) -> Comparison:
    agrees = abs(here - recipe) <= WEIGHTS_TOLERANCE * recipe
    return Comparison(what, recipe, here, agrees, f"bytes, within {WEIGHTS_TOLERANCE:.0%}")


def _find_ratio(accelerated: int | None, baseline: int | None) -> float | None:
    return accelerated / baseline if accelerated is not None and baseline else None
