"""How many prompts may fail: an exact bound on the share that does, over several looks.

A mean hides one prompt in twenty that falls apart, and no bound of a mean sees what it has not met
yet. Counting does: with nothing failing among 59 prompts, fewer than 5% fail, with 95% confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import comb

from sol.validator.spending import spent_error


@cache
def allowed_failures(
    looks: tuple[int, ...], share: float, alpha: float, rho: float
) -> tuple[int | None, ...]:
    """The most failures with which each look may accept.

    If a share of `share` or more really fails, the probability of ever accepting is at most
    `alpha`, spent over the looks as for the other rules. Exact: the binomial counts are followed
    from look to look.

    Returns:
        One number a look; None where even no failure at all is too little evidence.

    Raises:
        ValueError: `looks` do not rise.
    """
    spent = spent_error(looks, alpha, rho)
    allowed: list[int | None] = []
    undecided, n_before, accepted = [1.0], 0, 0.0
    for n, limit in zip(looks, spent, strict=True):
        undecided = _add_prompts(undecided, n - n_before, share)
        most, mass = _take_while(undecided, limit - accepted)
        allowed.append(most)
        accepted += mass
        undecided = [0.0 if most is not None and x <= most else p for x, p in enumerate(undecided)]
        n_before = n
    return tuple(allowed)


def smallest_sample(share: float, alpha: float) -> int:
    """Prompts, none of them failing, that a single look needs: (1 - share)^n <= alpha."""
    n = 1
    while (1.0 - share) ** n > alpha:
        n += 1
    return n


def _take_while(probabilities: Sequence[float], budget: float) -> tuple[int | None, float]:
    """The largest count up to which all probability together is within the budget."""
    most, total = None, 0.0
    for count, probability in enumerate(probabilities):
        if total + probability > budget:
            break
        most, total = count, total + probability
    return most, total


def _add_prompts(undecided: Sequence[float], n: int, share: float) -> list[float]:
    """The distribution of the count after `n` further prompts, each failing with `share`."""
    new = [comb(n, x) * share**x * (1.0 - share) ** (n - x) for x in range(n + 1)]
    total = [0.0] * (len(undecided) + n)
    for x, p in enumerate(undecided):
        for y, q in enumerate(new):
            total[x + y] += p * q
    return total
