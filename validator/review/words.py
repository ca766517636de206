"""The result of a blind review in plain words, each with its n."""

from __future__ import annotations

from sol.recipe import Share
from sol.validator.review.result import CONFIDENCE, ReviewResult


def describe(result: ReviewResult) -> tuple[str, ...]:
    """Sentences: whether they could be told apart, what was preferred, what was no difference."""
    return (
        _tell_apart(result),
        _preference(result),
        f"No difference was seen in {result.n_no_difference} of {result.n_pairs} pairs, and a "
        f"difference in {result.n_catch_different} of {result.n_catch} identical pairs.",
        _tests(result),
    )


def show_share(share: Share) -> str:
    """`40% (95% interval 12% to 74%, n = 10)`."""
    return (
        f"{share.value:.0%} ({CONFIDENCE:.0%} interval {share.low:.0%} to {share.high:.0%}, "
        f"n = {share.n})"
    )


def _tell_apart(result: ReviewResult) -> str:
    n = f"n = {result.n_pairs} pairs and {result.n_catch} identical ones"
    if result.could_tell_apart is None:
        return f"Whether the videos can be told apart is open: too few answers to show it ({n})."
    if result.could_tell_apart:
        return f"The videos could be told apart ({n})."
    return (
        f"The videos could not be told apart ({n}). That is no proof that they are the same: "
        "more pairs, or another reviewer, may show a difference."
    )


def _preference(result: ReviewResult) -> str:
    if result.prefers_accelerated is None:
        return f"Neither side was preferred in any of {result.n_pairs} pairs."
    return (
        f"Where one was better, it was the accelerated video {result.n_accelerated} of "
        f"{result.n_decided} times: {show_share(result.prefers_accelerated)}."
    )


def _tests(result: ReviewResult) -> str:
    return (
        f"Against chance (exact binomial test): {_side(result)}. Differences seen in pairs "
        f"against identical ones (Fisher's exact test): p = {result.p_different:.2g}."
    )


def _side(result: ReviewResult) -> str:
    if result.p_side is None:
        return "no pair was decided"
    return (
        f"the baseline was better {result.n_baseline} of {result.n_decided} times, "
        f"p = {result.p_side:.2g}"
    )
