"""Settings with known effects, for tests of what is composed of them."""

from __future__ import annotations

import math

from sol.integrator.cost import Part, TimeShares
from sol.integrator.effects import Effect, log_error_of
from sol.integrator.prediction import StackModel
from sol.search.records import Outcome, Proposal, Quality, QualityFloor, Speed
from sol.skills.registry import TECHNIQUES

SHARES = TimeShares(0.1, {Part.LINEAR: 0.3, Part.TEXT: 0.1, Part.ATTENTION: 0.3, Part.REST: 0.2})
NO_FLOOR = QualityFloor(0.0, 0.0)


def effect(
    technique: str,
    speedup: float = 1.2,
    psnr: float = 45.0,
    *,
    computed: float = 1.0,
    worst_gap_db: float = 0.0,
    **config,
) -> Effect:
    """A setting that was measured alone."""
    return Effect(
        technique=technique,
        config=config,
        knobs=tuple(config),
        log_time=-math.log(speedup),
        log_time_sd=0.02,
        log_error=log_error_of(psnr),
        log_error_sd=0.1,
        worst_gap_db=worst_gap_db,
        computed=computed,
    )


def model() -> StackModel:
    """One that has seen no stack."""
    return StackModel(SHARES, TECHNIQUES)


def quality_of(psnr: float, speedup: float = 1.0, **counts) -> Quality:
    return Quality(psnr, psnr, 0.9, speedup, 3, counts)


def speed_of(speedup: float) -> Speed:
    return Speed(speedup, speedup - 0.02, speedup + 0.02, 3, (1.0,), (1.0 / speedup,))


def outcome_of(speedup: float, psnr: float) -> Outcome:
    """Of what held."""
    return Outcome("measured", "", quality_of(psnr, speedup), speed_of(speedup), 1.0)


def setting(number: int, technique: str, **config) -> Proposal:
    """As an agent proposes it."""
    skill = TECHNIQUES[technique].skill
    return Proposal(number, skill, technique, config, "", 1.0, knobs=tuple(config))
