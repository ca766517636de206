"""Searches that have ended: what their agents found is given, stacks are measured by a session."""

from __future__ import annotations

import time
from collections.abc import Mapping

from sol.integrator.composer import Composer
from sol.integrator.cost import shares_of
from sol.search.orchestrator import Orchestrator, SearchTime
from sol.search.pipeline import Pipeline, TrialSetting
from sol.search.records import FrontierPoint, Outcome
from sol.search.trial_storage import open_memory_store
from sol.skills.registry import TECHNIQUES
from sol.space import Space
from sol.stages.request import Session
from sol.stages.search import Search


def search_of(session: Session, *points: FrontierPoint, spaces: Mapping[str, Space]) -> Search:
    """One whose agents measured these settings, and nothing else."""
    composer = Composer(
        shares_of(session.diagnosis),
        TECHNIQUES,
        session.floor,
        least_speedup=session.self_timing.high,
        spaces=dict(spaces),
    )
    by_skill: dict[str, list[FrontierPoint]] = {}
    for point in points:
        outcome = Outcome("measured", "", point.quality, point.speed)
        composer.learn_setting(point.proposal, outcome)
        by_skill.setdefault(point.proposal.skill, []).append(point)
    for skill, found in by_skill.items():
        composer.offer(skill, [point.proposal for point in found])
    setting = TrialSetting(session.calibration, session.floor, 3)
    orchestrator = Orchestrator(
        executor=session.executor,
        pipeline=Pipeline(session.crew, setting, None, time.monotonic),
        composer=composer,
        journal=session.journal,
        store=open_memory_store(),
        time=SearchTime(0.0, time.monotonic),
        noise=session.noise,
    )
    return Search({}, orchestrator, composer)
