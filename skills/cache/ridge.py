"""Fits the weights of ridge reuse: LESA's learned predictors (arXiv 2602.20497) in closed form.

At a skipped step the prediction is the last residual plus a weighted sum of three terms
(`sol.skills.cache.reuse.ridge_terms`). The weights that minimise the squared error over recorded
steps, with a penalty on their size, solve a system of three equations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from sol.skills.cache.reuse import Mix, RidgeRow, RidgeTable, ridge_terms
from sol.skills.cache.trajectory import Matrix, Trajectory, Vector

PENALTY = 1e-3
"""On the weights, relative to the terms' mean square: three weights from thousands of values need
little, but terms can be nearly parallel."""

_N_TERMS = 3
_DIGITS = 6
Sample = tuple[int, tuple[int, ...]]
"""A skipped step and the computed steps before it, the oldest first."""


def fit_stages(trajectory: Trajectory, n_stages: int, max_gap: int = 4) -> RidgeTable:
    """One row for each equal stage, from all ways to skip that schedules with small gaps have."""
    samples = _small_gap_samples(trajectory.n_steps, max_gap)
    return tuple(
        fit_row(
            trajectory,
            [s for s in samples if s[0] * n_stages // trajectory.n_steps == stage],
        )
        for stage in range(n_stages)
    )


def fit_schedule(trajectory: Trajectory, computed: Sequence[int]) -> RidgeTable:
    """One row for each step of a fixed schedule, fitted for exactly the calls it computes."""
    return tuple(
        (0.0, 0.0, 0.0)
        if step in computed
        else fit_row(trajectory, [(step, tuple(a for a in computed if a < step))])
        for step in range(trajectory.n_steps)
    )


def fit_row(trajectory: Trajectory, samples: Iterable[Sample]) -> RidgeRow:
    """The weights of the three terms for some skipped steps; zeros without any."""
    normal: Matrix = np.zeros((_N_TERMS, _N_TERMS))
    target: Vector = np.zeros(_N_TERMS)
    for step, anchors in samples:
        used = anchors[-_N_TERMS:]
        positions = [trajectory.positions[a] for a in used]
        terms = ridge_terms(positions, trajectory.positions[step])
        features = np.stack([_added(trajectory, step, used, term) for term in terms])
        plain = trajectory.mixed(step, used, Mix((1.0,)))
        projected = features @ trajectory.gram
        normal += projected @ features.T
        target += projected @ (trajectory.v(step) - plain)
    scale = np.trace(normal) / _N_TERMS
    if scale <= 0:
        return (0.0, 0.0, 0.0)
    solved = np.linalg.solve(normal + PENALTY * scale * np.eye(_N_TERMS), target)
    a, b, c = (float(f"{value:.{_DIGITS}g}") for value in solved)
    return (a, b, c)


def _added(trajectory: Trajectory, step: int, anchors: Sequence[int], term: Mix) -> Vector:
    return trajectory.mixed(step, anchors, term) - trajectory.x(step)


def _small_gap_samples(n_steps: int, max_gap: int) -> list[Sample]:
    gaps = range(1, max_gap + 1)
    samples: list[Sample] = []
    for last in range(n_steps):
        for step in range(last + 1, min(last + max_gap + 1, n_steps)):
            for first_gap in gaps:
                anchors = (last - 2 * first_gap, last - first_gap, last)
                if anchors[0] >= 0:
                    samples.append((step, anchors))
    return samples
