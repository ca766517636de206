"""The contract that every technique keeps.

A technique is a record: what it is, what it touches, what it needs, and how it is installed.
`tests/contracts` holds the suite that each one must pass: undo is exact, identity is the
baseline, no effect is an error, no state crosses videos.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter, ValidationError

from sol.clock import Clock
from sol.diagnosis import Diagnosis
from sol.errors import ConfigError, NotApplicableError
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.space import Space
from sol.target import STRICT, Workload
from sol.validation import explain, validate_plain

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Exactness = Literal["exact", "numerical", "lossy"]
End = Literal["first", "last"]
"""Of the denoising steps."""


class Seam(StrEnum):
    """A place in the denoiser or the loop that a technique reads or writes."""

    STEP_OUTPUT = "step_output"
    BLOCK_RESIDUAL = "block_residual"
    GUIDANCE_BRANCH = "guidance_branch"
    ATTENTION_OUTPUT = "attention_output"
    TEXT_PROJECTION = "text_projection"
    PROMPT_PROJECTION = "prompt_projection"
    ROTARY_TABLE = "rotary_table"
    MODULATION = "modulation"
    FEED_FORWARD_PRECISION = "feed_forward_precision"
    ATTENTION_PRECISION = "attention_precision"
    COMPILE_REGION = "compile_region"
    LINEAR_KERNEL = "linear_kernel"
    ATTENTION_BACKEND = "attention_backend"
    ATTENTION_PATTERN = "attention_pattern"
    TOKEN_SET = "token_set"
    LATENT_GRID = "latent_grid"


class Phase(IntEnum):
    """Order of installation: what comes later wraps what came before.

    Weights, then modules inside blocks, then compiled code, then what stands around whole blocks
    (outside of compiled code), then what splits a denoiser call, then what leaves one out.
    """

    WEIGHTS = 10
    MODULES = 20
    COMPILE = 30
    BLOCKS = 40
    GUIDANCE = 50
    LOOP = 60


@dataclass(frozen=True)
class Evidence:
    """What an installed technique counted while it ran.

    Attributes:
        engaged: Whether it did, at least once, what it is there for.
        counts: Countable facts by name ("steps_skipped": 11).
    """

    engaged: bool
    counts: Mapping[str, int]


@dataclass(frozen=True)
class Installed:
    """One technique at work on one pipeline."""

    undo: Callable[[], None]
    evidence: Callable[[], Evidence]


@dataclass(frozen=True)
class SpaceContext:
    """What a search space may depend on.

    Attributes:
        best_rivals: Of each group of the technique's `rivals`, the config that came closest to
            the baseline when it was run; empty while that has not been done.
        part_errors: Of each config of the technique's `parts`, the relative error of the
            denoiser's output; empty while that was not measured.
    """

    roles: Roles
    workload: Workload
    diagnosis: Diagnosis
    best_rivals: tuple[Mapping[str, Any], ...] = ()
    part_errors: tuple[float, ...] = ()


@dataclass(frozen=True)
class Technique:
    """One method with a config.

    Attributes:
        config: Frozen dataclass of its settings; its annotations are checked strictly.
        install: Attaches it to the roles and returns how to undo it and what it counted.
        space: What may be searched on a target.
        identity: A config at which it must change nothing, or None where it has no such setting.
        schedulable: The schedule's axes that it obeys ("steps", "layers").
        protects: Knobs that count steps which it leaves as they are, with the end at which these
            are.
        rivals: Groups of configs that the diagnosis cannot rank: before the space is made, each
            is run on a few prompts. None where the space needs no such help.
        parts: Configs that each touch one part of the denoiser: before the space is made, each is
            run alone on recorded calls, to see how sensitive the part is.
        saves: Seconds of a video that it could save at most, from the diagnosis; None where only
            its skill's bound is known.
        summary: One line for `sol skills`.
    """

    name: str
    skill: str
    summary: str
    exactness: Exactness
    requires: frozenset[Capability]
    writes: frozenset[Seam]
    phase: Phase
    config: type[DataclassInstance]
    install: Callable[[Roles, Any, Schedule, Clock], Installed]
    space: Callable[[SpaceContext], Space]
    reads: frozenset[Seam] = frozenset()
    identity: Mapping[str, Any] | None = None
    schedulable: frozenset[str] = frozenset()
    protects: Mapping[str, End] = field(default_factory=dict)
    rivals: Callable[[SpaceContext], tuple[tuple[Mapping[str, Any], ...], ...]] | None = None
    parts: Callable[[SpaceContext], tuple[Mapping[str, Any], ...]] | None = None
    saves: Callable[[Diagnosis], float] | None = None
    source: str = ""


@dataclass(frozen=True)
class StackItem:
    """One technique of a stack as it stands in a recipe: plain data."""

    __pydantic_config__ = STRICT

    technique: str
    config: Mapping[str, Any] = field(default_factory=dict)
    schedule: Schedule = field(default_factory=Schedule)


Stack = tuple[StackItem, ...]


def parse_config(technique: Technique, config: Mapping[str, Any]) -> Any:
    """The technique's config from plain data.

    Raises:
        ConfigError: A key, type or value that the technique's config does not allow.
    """
    try:
        return validate_plain(_adapter(technique.config), dict(config))
    except ValidationError as error:
        raise ConfigError(f"Config of {technique.name}: {explain(error)}") from error
    except TypeError as error:
        raise ConfigError(f"Config of {technique.name}: not plain data: {error}.") from error


def check_schedule(technique: Technique, schedule: Schedule) -> None:
    """Refuses a schedule on an axis that the technique would ignore."""
    ignored = sorted(schedule.restricted_axes - technique.schedulable)
    if ignored:
        raise ConfigError(
            f"{technique.name} cannot be limited to some {ignored[0]}: "
            f"remove schedule.{ignored[0]} or set it to 'all'."
        )


def find_obstacle(technique: Technique, roles: Roles) -> str | None:
    """Why `technique` cannot run on these roles, or None if it can."""
    for capability in sorted(technique.requires - roles.capabilities):
        return roles.lacks.get(capability, f"it needs {capability}, which is not there")
    return None


def check_applies(technique: Technique, roles: Roles) -> None:
    """Raises NotApplicableError with the reason where `technique` cannot run."""
    obstacle = find_obstacle(technique, roles)
    if obstacle:
        raise NotApplicableError(f"{technique.name} does not apply to this pipeline: {obstacle}")


@cache
def _adapter(config: type[Any]) -> TypeAdapter[Any]:
    return TypeAdapter(config)
