"""Exact reuse of what the modules before the blocks make of the text."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from sol.clock import Clock
from sol.diagnosis import Diagnosis
from sol.roles import Capability, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.skills.cache.exact.text_memory import install_text_memory
from sol.space import Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique


@dataclass(frozen=True)
class PromptProjectionConfig:
    """No settings: it is exact."""

    __pydantic_config__ = STRICT


def install(
    roles: Roles, config: PromptProjectionConfig, schedule: Schedule, clock: Clock
) -> Installed:
    """Projects each text once."""
    return install_text_memory(roles, clock, "prompt_projection", _projections)


def _projections(denoiser: DenoiserRoles) -> tuple[nn.Module, ...]:
    return denoiser.prompt_projection


def space(context: SpaceContext) -> Space:
    """One setting: on."""
    return Space(first=({},))


def saves(diagnosis: Diagnosis) -> float:
    """All that is spent on projecting the text."""
    return diagnosis.part_s.get("prompt_projection", 0.0)


PROMPT_PROJECTION = Technique(
    name="prompt_projection",
    skill="cache",
    summary="project the text for the blocks once a video (exact)",
    exactness="exact",
    requires=frozenset({Capability.PROMPT_PROJECTION}),
    writes=frozenset({Seam.PROMPT_PROJECTION}),
    phase=Phase.MODULES,
    config=PromptProjectionConfig,
    install=install,
    space=space,
    saves=saves,
)
