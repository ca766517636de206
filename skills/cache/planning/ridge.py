"""Fits the weights of ridge reuse: LESA's learned predictors (arXiv 2602.20497) in closed form.

At a skipped step the prediction is the last residual plus weighted terms of first and second order
(`newton_terms` of `sol.skills.cache.skipping.reuse`). The first-order weight stays 1, so that the
prediction follows a straight line exactly; the second-order weight minimises the squared error
over recorded steps, and is kept between 0 and 1, the two Taylor orders.

A free least-squares fit of all weights halves the recorded error and is the worse one to run: it
shrinks the first-order weight to a fifth, since single steps are noisy, and predictions then lag
behind in the direction in which the video forms. On pocket, 12 of 24 steps: recorded displacement
.0093 against .0146 of first-order Taylor, error of the final latents .065 against .052.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sol.skills.cache.planning.trajectory import Trajectory
from sol.skills.cache.skipping.reuse import Mix, RidgeTable, depth_of, newton_terms

PENALTY = 1e-3
"""On the second-order weight, relative to that term's mean square."""

_DIGITS = 6
Sample = tuple[int, tuple[int, ...]]
"""A skipped step and the computed steps before it, the oldest first."""


def fit_stages(trajectory: Trajectory, n_stages: int, max_gap: int = 4) -> RidgeTable:
    """One weight for each equal stage, from all ways in which schedules with small gaps skip."""
    samples = _small_gap_samples(trajectory.n_steps, max_gap)
    return tuple(
        fit_weight(
            trajectory,
            [s for s in samples if s[0] * n_stages // trajectory.n_steps == stage],
        )
        for stage in range(n_stages)
    )


def fit_schedule(trajectory: Trajectory, computed: Sequence[int]) -> RidgeTable:
    """One weight for each step of a fixed schedule, fitted for exactly the calls it computes."""
    return tuple(
        0.0
        if step in computed
        else fit_weight(trajectory, [(step, tuple(a for a in computed if a < step))])
        for step in range(trajectory.n_steps)
    )


def fit_weight(trajectory: Trajectory, samples: Iterable[Sample]) -> float:
    """The weight of the second-order term for some skipped steps; 0 without any."""
    explained, energy = 0.0, 0.0
    for step, anchors in samples:
        used = anchors[-depth_of("ridge") :]
        positions = [trajectory.positions[a] for a in used]
        *_, second = newton_terms(positions, trajectory.positions[step])
        term = trajectory.mixed(step, used, Mix(second)) - trajectory.x(step)
        missing = -trajectory.error(step, used, "taylor1")
        explained += float(term @ trajectory.gram @ missing)
        energy += float(term @ trajectory.gram @ term)
    if energy <= 0:
        return 0.0
    return round(min(max(explained / (energy * (1 + PENALTY)), 0.0), 1.0), _DIGITS)


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
