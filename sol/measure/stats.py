"""Small samples: medians with an interval, bounds of a mean by prompt, correlation of ranks."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sol.measure.student_t import t_quantile

Floats = NDArray[np.float64]

SMALLEST_BOOTSTRAP_T = 8
"""Below this many units resampled standard errors are too coarse to studentise with."""

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """A median with a two-sided interval, in the unit of the values, over `n` of them."""

    median: float
    low: float
    high: float
    n: int


def bootstrap_median(
    values: Sequence[float] | Floats,
    rng: np.random.Generator,
    confidence: float = 0.95,
    n_resamples: int = 4000,
) -> Interval:
    """The median with its percentile-bootstrap interval (Efron 1979).

    With fewer than six values the interval is about their range, the most they can say.

    Raises:
        ValueError: No values.
    """
    sample = _sample(values, at_least=1)
    medians = np.median(_resample(sample, rng, n_resamples), axis=1)
    low, high = np.quantile(medians, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(np.median(sample)), float(low), float(high), sample.size)


def one_sided_lower(
    differences: Sequence[float] | Floats,
    rng: np.random.Generator,
    confidence: float = 0.95,
    n_resamples: int = 4000,
) -> float:
    """Lower confidence bound of the mean, one value per prompt.

    Bootstrap-t (Efron and Tibshirani 1993, section 12.5): the mean's standard error times a
    quantile of the resampled, studentised means. The t-interval takes over with fewer than
    `SMALLEST_BOOTSTRAP_T` values, and where so many resamples have no variance that the quantile
    is not finite. Values that are all equal bound their own mean.

    Returns:
        The bound, in the unit of the values; NaN if any value is.

    Raises:
        ValueError: Fewer than two values: they say nothing about spread.
    """
    sample = _sample(differences, at_least=2)
    if not np.isfinite(sample).all():
        return math.nan
    mean, error = float(sample.mean()), float(_standard_errors(sample[None])[0])
    if error == 0.0:
        return mean
    quantile = math.inf
    if sample.size >= SMALLEST_BOOTSTRAP_T:
        quantile = _studentised_quantile(sample, rng, confidence, n_resamples)
    if not math.isfinite(quantile):
        return t_lower(sample, confidence)
    return mean - quantile * error


def t_lower(values: Sequence[float] | Floats, confidence: float = 0.95) -> float:
    """Lower confidence bound of the mean by Student's t, one value per prompt.

    Raises:
        ValueError: Fewer than two values: they say nothing about spread.
    """
    sample = _sample(values, at_least=2)
    error = float(_standard_errors(sample[None])[0])
    return float(sample.mean()) - t_quantile(confidence, sample.size - 1) * error


def mean_by_unit(units: Sequence[Hashable], values: Sequence[float] | Floats) -> Floats:
    """Averages the values of each unit, such as the seeds of one prompt; first seen, first out.

    Returns:
        (n_units,), the units that samples are drawn from and bounds are stated over.
    """
    groups: dict[Hashable, list[float]] = {}
    for unit, value in zip(units, values, strict=True):
        groups.setdefault(unit, []).append(float(value))
    return np.array([np.mean(group) for group in groups.values()], dtype=np.float64)


def rank_correlation(
    one: Sequence[float] | Floats, other: Sequence[float] | Floats
) -> float | None:
    """Spearman's rho: the correlation of the ranks, where equal values share their mean rank.

    Returns:
        From -1 to 1; None where all values of a side are equal: those have no order.

    Raises:
        ValueError: Fewer than two values, samples of different lengths, or a value that is NaN.
    """
    first, second = _sample(one, at_least=2), _sample(other, at_least=2)
    if first.size != second.size:
        raise ValueError(
            f"a rank correlation needs pairs, got {first.size} and {second.size} values."
        )
    if np.isnan(first).any() or np.isnan(second).any():
        raise ValueError("NaN has no rank; leave out what was not measured.")
    ranks = [_rank(sample) - (first.size + 1) / 2 for sample in (first, second)]
    scale = math.sqrt(math.prod(float(side @ side) for side in ranks))
    return float(ranks[0] @ ranks[1]) / scale if scale > 0 else None


def _rank(sample: Floats) -> Floats:
    """From 1; equal values share the mean of their ranks."""
    _, places, counts = np.unique(sample, return_inverse=True, return_counts=True)
    means: Floats = np.cumsum(counts) - (counts - 1) / 2
    return means[places]


def _studentised_quantile(
    sample: Floats, rng: np.random.Generator, confidence: float, n_resamples: int
) -> float:
    resamples = _resample(sample, rng, n_resamples)
    shifts = resamples.mean(axis=1) - sample.mean()
    errors = _standard_errors(resamples)
    with np.errstate(divide="ignore", invalid="ignore"):
        pivots = np.where(errors > 0, shifts / errors, np.copysign(np.inf, shifts))
    return float(np.quantile(pivots, confidence, method="higher"))


def _standard_errors(rows: Floats) -> Floats:
    """Standard error of each row's mean; rounding error on equal values counts as zero."""
    errors = rows.std(axis=1, ddof=1) / math.sqrt(rows.shape[1])
    return np.where(errors > _ROUNDING * np.abs(rows).max(axis=1), errors, 0.0)


def _resample(sample: Floats, rng: np.random.Generator, n_resamples: int) -> Floats:
    return sample[rng.integers(sample.size, size=(n_resamples, sample.size))]


def _sample(values: Sequence[float] | Floats, at_least: int) -> Floats:
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1 or sample.size < at_least:
        raise ValueError(f"need a flat sample of at least {at_least}, got shape {sample.shape}.")
    return sample
