"""What a blind review shows: preference with its interval, and whether there was a difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from sol.errors import SolError
from sol.recipe import BlindReview, Share
from sol.validator.review.answers import Answer
from sol.validator.review.plan import Arm, Side, Trial

CONFIDENCE = 0.95
LEVEL = (1 - CONFIDENCE) / 2
"""Of each of the two tests of "could tell them apart": 5% for both together (Bonferroni)."""


@dataclass(frozen=True)
class Finding:
    """A pair in which the reviewer saw or noted something, unblinded.

    Attributes:
        preferred: The better arm, or None for no difference.
        marked: The arm with the mark, with its frame and place; None without a mark.
    """

    trial: Trial
    answer: Answer
    preferred: Arm | None
    marked: Arm | None


@dataclass(frozen=True)
class ReviewResult:
    """The numbers. `p` values are of exact tests.

    Attributes:
        n_baseline: Pairs in which the baseline was better.
        p_side: Two-sided binomial test of that against chance; None without a decided pair.
        prefers_accelerated: Clopper-Pearson interval over the decided pairs.
        n_catch_different: Identical pairs in which a difference was seen.
        p_different: One-sided Fisher test that more differences were seen in pairs than in
            identical ones.
        could_tell_apart: Either test is below `LEVEL`; None where no answers to so few trials
            could have been.
    """

    n_pairs: int
    n_accelerated: int
    n_baseline: int
    n_catch: int
    n_catch_different: int
    prefers_accelerated: Share | None
    p_side: float | None
    p_different: float
    could_tell_apart: bool | None
    findings: tuple[Finding, ...]

    @property
    def n_decided(self) -> int:
        """Pairs in which one side was better."""
        return self.n_accelerated + self.n_baseline

    @property
    def n_no_difference(self) -> int:
        """Pairs in which none was."""
        return self.n_pairs - self.n_decided

    def to_blind_review(self) -> BlindReview:
        """What goes into the recipe."""
        return BlindReview(
            self.n_pairs, self.n_no_difference, self.prefers_accelerated, self.could_tell_apart
        )


def check_statistics() -> None:
    """Raises SolError now, rather than after the last answer, where SciPy is missing."""
    if find_spec("scipy") is None:
        raise SolError("A review needs SciPy for its tests: pip install 'sol-tuner[tune]'.")


def evaluate(trials: Sequence[Trial], answers: Mapping[str, Answer]) -> ReviewResult:
    """Counts and tests the answered trials."""
    findings = tuple(_unblind(t, answers[t.id]) for t in trials if t.id in answers)
    real = [finding for finding in findings if not finding.trial.is_catch]
    n_accelerated = sum(f.preferred == "accelerated" for f in real)
    n_baseline = sum(f.preferred == "baseline" for f in real)
    n_decided = n_accelerated + n_baseline
    catches = [finding for finding in findings if finding.trial.is_catch]
    n_seen = sum(finding.answer.choice != "none" for finding in catches)
    p_side = _test_side(n_baseline, n_decided) if n_decided else None
    p_different = _test_difference(n_decided, len(real), n_seen, len(catches))
    is_shown = p_different < LEVEL or (p_side is not None and p_side < LEVEL)
    return ReviewResult(
        n_pairs=len(real),
        n_accelerated=n_accelerated,
        n_baseline=n_baseline,
        n_catch=len(catches),
        n_catch_different=n_seen,
        prefers_accelerated=_share(n_accelerated, n_decided) if n_decided else None,
        p_side=p_side,
        p_different=p_different,
        could_tell_apart=is_shown if _can_show(len(real), len(catches)) else None,
        findings=findings,
    )


def _unblind(trial: Trial, answer: Answer) -> Finding:
    side: Side | None = None if answer.choice == "none" else answer.choice
    preferred = trial.arm(side) if side and not trial.is_catch else None
    marked = trial.arm(answer.mark.side) if answer.mark else None
    return Finding(trial, answer, preferred, marked)


def _share(k: int, n: int) -> Share:
    """Clopper and Pearson (1934)."""
    from scipy.stats import binomtest

    interval = binomtest(k, n).proportion_ci(CONFIDENCE, method="exact")
    return Share(k / n, float(interval.low), float(interval.high), n)


def _test_side(k: int, n: int) -> float:
    from scipy.stats import binomtest

    return float(binomtest(k, n).pvalue)


def _test_difference(seen: int, n: int, catch_seen: int, n_catch: int) -> float:
    from scipy.stats import fisher_exact

    table = np.array([[seen, n - seen], [catch_seen, n_catch - catch_seen]])
    return float(fisher_exact(table, alternative="greater").pvalue)


def _can_show(n: int, n_catch: int) -> bool:
    """Whether the clearest answers to so many trials would pass a test."""
    if not n:
        return False
    return min(_test_side(n, n), _test_difference(n, n, 0, n_catch)) < LEVEL
