"""DPCache: which steps to compute, as a shortest path over a recorded trajectory.

"Denoising as Path Planning: Training-Free Acceleration of Diffusion Models with DPCache", arXiv
2602.22654. C[i, j, k] is what it costs to skip the steps between j and k, predicted from the
computed steps i and j. The paper keeps one predecessor for each state, which makes it a heuristic;
here the state is the pair (previous, current), so that the path is the cheapest there is, and the
n cheapest are found.

The paper sums L1 errors of features. Here an error counts with the size of its step, the errors of
one gap add up with their directions, since that is how far they move the latents, and the gaps
count squared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sol.skills.cache.planning.trajectory import Trajectory
from sol.skills.cache.skipping.reuse import ReuseKind

_LEAST_WARMUP = 2
"""A gap is predicted from two computed steps."""

Costs = np.ndarray[tuple[int, int, int], np.dtype[np.float64]]


def gap_costs(
    trajectory: Trajectory, kind: ReuseKind, max_gap: int = 4, early: float = 0.0
) -> Costs:
    """C[i, j, k] for i < j < k <= T: the squared displacement of the latents by one gap.

    Infinite elsewhere and for gaps of over `max_gap` steps.

    k = T stands for the end: the steps after j are all skipped.

    Args:
        early: Exponent of the position in the weight of a step. What goes wrong early is amplified
            by all later steps, which a recorded trajectory does not show; 0 takes it as recorded.
    """
    n = trajectory.n_steps
    costs: Costs = np.full((n, n, n + 1), np.inf)
    for j in range(1, n):
        for i in range(j):
            moved = np.zeros(2 * n)
            for k in range(j + 1, min(j + max_gap + 1, n) + 1):
                costs[i, j, k] = trajectory.norm(moved) ** 2
                if k < n:
                    weight = trajectory.step_sizes[k] * abs(trajectory.positions[k]) ** early
                    moved = moved + weight * trajectory.error(k, (i, j), kind)
    return costs


def cheapest_plans(
    costs: Costs, n_computed: int, warmup: int, tail: int = 1, n_best: int = 1
) -> list[tuple[int, ...]]:
    """The steps to compute, for the `n_best` cheapest schedules of `n_computed` steps.

    Args:
        warmup: First steps that are computed; at least 2.
        tail: Last steps that are computed.

    Raises:
        ValueError: No schedule has that many steps.
    """
    n = costs.shape[0]
    if not _LEAST_WARMUP <= warmup <= n_computed <= n or warmup + tail > n_computed:
        raise ValueError(f"{n_computed} of {n} steps with warm-up {warmup} and tail {tail}")
    allowed = costs.copy()
    # No gap may swallow a step of the tail.
    allowed[:, : n - tail, n - tail + 1 :] = np.inf
    paths = {(warmup - 2, warmup - 1): [(0.0, tuple(range(warmup)))]}
    for _ in range(n_computed - warmup):
        paths = _extended(paths, allowed, n_best)
    finished = [
        (cost + allowed[i, j, n], path)
        for (i, j), found in paths.items()
        for cost, path in found
        if np.isfinite(allowed[i, j, n])
    ]
    return [path for _, path in sorted(finished)[:n_best]]


def _extended(
    paths: dict[tuple[int, int], list[tuple[float, tuple[int, ...]]]],
    costs: Costs,
    n_best: int,
) -> dict[tuple[int, int], list[tuple[float, tuple[int, ...]]]]:
    """All paths one computed step longer: the cheapest of each (previous, current)."""
    longer: dict[tuple[int, int], list[tuple[float, tuple[int, ...]]]] = {}
    n = costs.shape[0]
    for (i, j), found in paths.items():
        for k in range(j + 1, n):
            if np.isfinite(costs[i, j, k]):
                options = longer.setdefault((j, k), [])
                options += [(cost + float(costs[i, j, k]), (*path, k)) for cost, path in found]
    return {state: sorted(options)[:n_best] for state, options in longer.items()}


def uniform_plan(n_steps: int, n_computed: int, warmup: int, tail: int = 1) -> tuple[int, ...]:
    """Evenly spaced computed steps between warm-up and tail: what a plan is compared with."""
    inner = n_computed - warmup - tail
    free = n_steps - warmup - tail
    spaced = [warmup + round((i + 1) * (free + 1) / (inner + 1)) - 1 for i in range(inner)]
    return (*range(warmup), *spaced, *range(n_steps - tail, n_steps))


def even_change_plan(
    output_change: Sequence[float], n_computed: int, warmup: int, power: float, tail: int = 1
) -> tuple[int, ...]:
    """Computed steps at even distances in change**power, summed up from step to step.

    A power of 0 is `uniform_plan`, one of 1 puts the same change between any two computed steps.
    Distances vary smoothly, as extrapolation wants them: after a short gap, a long one multiplies
    the noise of the two calls before it.

    Args:
        output_change: Of each step against the one before, from step 1 on; T - 1.
    """
    n_steps = len(output_change) + 1
    passed = np.concatenate([[0.0], np.cumsum(np.asarray(output_change) ** power)])
    inner = n_computed - warmup - tail
    ends = passed[warmup - 1], passed[n_steps - tail]
    plan = list(range(warmup))
    for i, target in enumerate(np.linspace(*ends, inner + 2)[1:-1]):
        nearest = int(np.argmin(np.abs(passed - target)))
        latest = n_steps - tail - (inner - i)
        plan.append(min(max(nearest, plan[-1] + 1), latest))
    return (*plan, *range(n_steps - tail, n_steps))


def skipped_of(computed: Sequence[int], n_steps: int) -> frozenset[int]:
    """The steps that a plan leaves out."""
    return frozenset(range(n_steps)) - frozenset(computed)
