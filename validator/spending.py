"""Error spending: how sure each look must be, so that all looks together stay within one error.

Evidence that is looked at several times gives luck several chances. Lan and DeMets (Biometrika
1983) spend the error as the evidence grows; the family here is Kim and DeMets' (Biometrika 1987),
alpha t^rho: rho = 1 spends evenly, much like Pocock; rho = 3 keeps most for the end, much like
O'Brien and Fleming.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NORMAL = NormalDist()
_GRID = 1001
_FAR = 8.0
"""Standard deviations below zero at which the grid ends: less than 1e-15 lies beyond."""
_HALVINGS = 60
_HIGHEST_Z = 8.0


def spent_error(looks: Sequence[int], alpha: float, rho: float) -> tuple[float, ...]:
    """The error that may be spent up to each look, alpha (n_k / n_K)^rho.

    Args:
        looks: Units seen at each look, rising.
        alpha: One-sided error of all looks together.
        rho: Above 0.

    Raises:
        ValueError: No looks, or they do not rise.
    """
    if not looks or any(b <= a for a, b in zip((0, *looks), looks, strict=False)):
        raise ValueError(f"looks must rise from above 0, got {tuple(looks)}.")
    return tuple(alpha * (n / looks[-1]) ** rho for n in looks)


@cache
def look_levels(looks: tuple[int, ...], alpha: float, rho: float) -> tuple[float, ...]:
    """The one-sided level of each look's own bound.

    The recursion of Armitage, McPherson and Rowe (JRSS A 1969): with the statistic as a Brownian
    motion, the density of what has not crossed yet is carried from look to look on a grid. Each
    boundary is where what crosses it is just the error that the look may spend.

    Args:
        looks: Units seen at each look, rising.
        alpha: One-sided error of all looks together.
        rho: Above 0.

    Returns:
        One level a look; a single look's is `alpha` itself.

    Raises:
        ValueError: No looks, or they do not rise.
    """
    spent = spent_error(looks, alpha, rho)
    times = [n / looks[-1] for n in looks]
    levels = [spent[0]]
    bound = _z_of(spent[0]) * math.sqrt(times[0])
    grid = _make_grid(times[0], bound)
    density = _gaussian(grid, times[0])
    for k in range(1, len(times)):
        sd = math.sqrt(times[k] - times[k - 1])
        bound = _find_bound(grid, density, sd, spent[k] - spent[k - 1], times[k])
        levels.append(1.0 - _NORMAL.cdf(bound / math.sqrt(times[k])))
        new_grid = _make_grid(times[k], bound)
        density = _carry(grid, density, new_grid, sd)
        grid = new_grid
    return tuple(levels)


def _find_bound(grid: Floats, density: Floats, sd: float, error: float, time: float) -> float:
    """The value that what is left crosses with probability `error` at this look."""
    low, high = 0.0, _HIGHEST_Z * math.sqrt(time)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _crossing(grid, density, sd, middle) > error:
            low = middle
        else:
            high = middle
    return high


def _crossing(grid: Floats, density: Floats, sd: float, bound: float) -> float:
    above = np.array([1.0 - _NORMAL.cdf((bound - x) / sd) for x in grid])
    return float(np.trapezoid(density * above, grid))


def _carry(grid: Floats, density: Floats, new_grid: Floats, sd: float) -> Floats:
    kernel = _gaussian(new_grid[:, None] - grid[None, :], sd * sd)
    return np.asarray(np.trapezoid(kernel * density[None, :], grid, axis=1))


def _make_grid(time: float, bound: float) -> Floats:
    return np.linspace(-_FAR * math.sqrt(time), bound, _GRID)


def _gaussian(x: Floats, variance: float) -> Floats:
    return np.asarray(np.exp(-0.5 * x * x / variance) / (2 * np.pi * variance) ** 0.5)


def _z_of(level: float) -> float:
    return _NORMAL.inv_cdf(1.0 - level)
