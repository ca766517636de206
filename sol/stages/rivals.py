"""Runs the configs that a technique cannot rank by itself, and keeps the best of each group.

The diagnosis sees an undisturbed trajectory; what a skipped step does to all later ones shows only
when it is run.
"""

from __future__ import annotations

from sol.search.crew import TRIAL_LIMIT_S, Job
from sol.search.offering import Config, Rivals
from sol.stages.request import Session

_PAIRS = 3
"""On which each is run; DPCache finds one prompt enough, and ten no better."""


def choose_rivals(session: Session, skill: str) -> dict[str, tuple[Config, ...]]:
    """By technique, of each group the config that came closest to the baseline."""
    groups: Rivals = session.crew.run(Job("rivals", (skill, session.diagnosis), TRIAL_LIMIT_S))
    return {name: _run(session, skill, name, rivals) for name, rivals in groups.items() if rivals}


def _run(
    session: Session, skill: str, technique: str, groups: tuple[tuple[Config, ...], ...]
) -> tuple[Config, ...]:
    pairs = session.calibration[:_PAIRS]
    jobs = [Job("latent_errors", (technique, group, pairs), TRIAL_LIMIT_S) for group in groups]
    best = []
    for group, done in zip(groups, session.crew.run_all(jobs), strict=True):
        # Where a group cannot be run, its trial will say why.
        errors = done.value if done.failure is None else (0.0,) * len(group)
        best.append(group[errors.index(min(errors))])
    session.journal.write(
        skill,
        "plan",
        technique=technique,
        groups=len(groups),
        configs=sum(len(group) for group in groups),
        pairs=len(pairs),
    )
    return tuple(best)
