"""Quantiles of Student's t; for whole degrees of freedom its distribution is a finite sum."""

from __future__ import annotations

import math

_HALVINGS = 200


def t_quantile(probability: float, dof: int) -> float:
    """The value that a t variable with `dof` degrees of freedom stays below with `probability`.

    Args:
        probability: In the open interval (0, 1).
        dof: Degrees of freedom, at least 1.

    Raises:
        ValueError: An argument outside its range.
    """
    if not 0.0 < probability < 1.0:
        raise ValueError(f"probability must be inside (0, 1), got {probability}.")
    if dof < 1:
        raise ValueError(f"dof must be at least 1, got {dof}.")
    tail = abs(2.0 * probability - 1.0)
    return math.copysign(math.sqrt(dof) * math.tan(_angle_of(tail, dof)), probability - 0.5)


def _angle_of(mass: float, dof: int) -> float:
    """The angle theta = arctan(t / sqrt(dof)) at which `central_mass` equals `mass`."""
    low, high = 0.0, math.pi / 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if _central_mass(middle, dof) < mass:
            low = middle
        else:
            high = middle
    return low


def _central_mass(theta: float, dof: int) -> float:
    """P(|T| <= sqrt(dof) tan(theta)): Abramowitz and Stegun (1964), 26.7.3 and 26.7.4."""
    sin, cos = math.sin(theta), math.cos(theta)
    if dof == 1:
        return 2.0 * theta / math.pi
    odd = dof % 2
    term = cos if odd else 1.0
    total = term
    for k in range(2 + odd, dof - 1, 2):
        term *= cos * cos * (k - 1) / k
        total += term
    return 2.0 / math.pi * (theta + sin * total) if odd else sin * total
