"""Exact reuse of the text keys and values of every cross-attention."""

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
class TextKVConfig:
    """No settings: it is exact."""

    __pydantic_config__ = STRICT


def install(roles: Roles, config: TextKVConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Computes keys and values once a text."""
    return install_text_memory(roles, clock, "text_kv", _text_only)


def _text_only(denoiser: DenoiserRoles) -> list[nn.Module]:
    return [module for site in denoiser.cross_attention for module in site.text_only]


def space(context: SpaceContext) -> Space:
    """One setting: on."""
    return Space(first=({},))


def saves(diagnosis: Diagnosis) -> float:
    """All that is spent on keys and values of the text."""
    return diagnosis.part_s.get("text_projection", 0.0)


TEXT_KV = Technique(
    name="text_kv",
    skill="cache",
    summary="compute text keys and values once a video (exact)",
    exactness="exact",
    requires=frozenset({Capability.TEXT_CROSS_ATTENTION}),
    writes=frozenset({Seam.TEXT_PROJECTION}),
    phase=Phase.MODULES,
    config=TextKVConfig,
    install=install,
    space=space,
    saves=saves,
)
