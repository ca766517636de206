"""The recipe file: an accepted stack with its target and its evidence, as YAML.

Plain data: loading executes nothing. A digest over everything but the approval binds the file
to what was measured; a change by hand is noticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from sol.errors import ConfigError, RecipeError
from sol.recipe_file import dump_plain, parse_mapping, read_mapping
from sol.schedule import Schedule
from sol.starting_point import SCHEMA as STARTING_POINT_SCHEMA
from sol.target import STRICT, Target, digest_of

SCHEMA: Final = "sol.recipe/1"

# A file from a stranger must not fill the memory of whoever makes its video. Far beyond what
# there is: 40 techniques, and models of 4K pixels, some hundred frames and steps.
_MOST_MEMBERS: Final = 64
_LARGEST_WORKLOAD: Final[Mapping[str, int]] = {
    "height": 16_384,
    "width": 16_384,
    "num_frames": 10_000,
    "steps": 10_000,
    "frame_rate": 1_000,
    "max_sequence_length": 100_000,
}


@dataclass(frozen=True)
class Member:
    """One technique of the stack."""

    __pydantic_config__ = STRICT

    technique: str
    skill: str
    config: Mapping[str, Any]
    schedule: Schedule = field(default_factory=Schedule)


@dataclass(frozen=True)
class Measured:
    """A number with its spread: median, ends of its confidence interval, sample count, device."""

    __pydantic_config__ = STRICT

    median: float
    low: float
    high: float
    n: int
    device: str


@dataclass(frozen=True)
class QualityCheck:
    """One check of the gate, as it was decided; or `edge_psnr`, of the stack's bolder neighbour.

    The numbers are None where there was nothing to measure.
    """

    __pydantic_config__ = STRICT

    name: str
    value: float | None
    bound: float | None
    margin: float | None
    n: int


@dataclass(frozen=True)
class Memory:
    """Bytes of weights and of the peak of one video, for the baseline and with the stack.

    Attributes:
        kept_for_undo: Weights of the baseline that the stack does not use, and keeps. None, as
            the next, in recipes from before this was measured.
        weights_after_undo: Once the stack is off again.
    """

    __pydantic_config__ = STRICT

    baseline_weights: int
    accelerated_weights: int
    baseline_peak: int | None
    accelerated_peak: int | None
    n: int
    device: str
    kept_for_undo: int | None = None
    weights_after_undo: int | None = None


@dataclass(frozen=True)
class ColdStart:
    """What the stack costs once, in a process of its own with empty caches of compiled code.

    Attributes:
        install_s: Seconds of installing it: weights are quantised and packed then.
        first_extra_s: Seconds of the first video beyond a later one: code is compiled then.
        break_even: The number of videos after which both are paid for; None for never.
    """

    __pydantic_config__ = STRICT

    install_s: float
    first_extra_s: float
    break_even: int | None
    n: int
    device: str


@dataclass(frozen=True)
class RecipeEvidence:
    """What was measured before the recipe was written.

    Attributes:
        cold_start: None where it could not be measured, and in recipes from before it was.
    """

    __pydantic_config__ = STRICT

    speedup: Measured
    baseline_s: Measured
    accelerated_s: Measured
    quality: tuple[QualityCheck, ...]
    memory: Memory
    engagement: Mapping[str, Mapping[str, int]]
    cold_start: ColdStart | None = None


@dataclass(frozen=True)
class Provenance:
    """Where the recipe comes from."""

    __pydantic_config__ = STRICT

    run_id: str
    created: str
    versions: Mapping[str, str]
    gate: str
    gate_digest: str
    backend: str


@dataclass(frozen=True)
class Share:
    """A share of `n` answers with the ends of its exact 95% interval, all in [0, 1]."""

    __pydantic_config__ = STRICT

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class BlindReview:
    """What a reviewer saw who did not know which video was which.

    Attributes:
        prefers_accelerated: Share of the accelerated videos among the pairs that were decided;
            None where "no difference" was said of every pair.
        could_tell_apart: None where the answers were too few to show it.
    """

    __pydantic_config__ = STRICT

    n_pairs: int
    n_no_difference: int
    prefers_accelerated: Share | None
    could_tell_apart: bool | None


@dataclass(frozen=True)
class Approval:
    """What a human reviewer said. Not part of the digest.

    Attributes:
        when: ISO 8601, UTC.
        report: SHA-256 of the report that the reviewer had; None where there was none.
        review: The blind review before the verdict, where there was one.

    Raises:
        ConfigError: A verdict without a name.
    """

    __pydantic_config__ = STRICT

    status: Literal["unreviewed", "approved", "rejected"] = "unreviewed"
    reviewer: str | None = None
    note: str | None = None
    when: str | None = None
    report: str | None = None
    review: BlindReview | None = None

    def __post_init__(self) -> None:
        if self.status != "unreviewed" and not (self.reviewer or "").strip():
            raise ConfigError(
                f"status is {self.status!r} and reviewer is {self.reviewer!r}: name who said so"
            )


@dataclass(frozen=True)
class Recipe:
    """A whole recipe file."""

    __pydantic_config__ = STRICT

    schema: Literal["sol.recipe/1"]
    target: Target
    stack: tuple[Member, ...]
    evidence: RecipeEvidence
    provenance: Provenance
    approval: Approval = field(default_factory=Approval)
    digest: str = ""


_ADAPTER = TypeAdapter(Recipe)


def load_recipe(path: str | Path) -> Recipe:
    """Reads and checks a recipe.

    Raises:
        RecipeError: No such file, not plain YAML of bounded size, an unknown or missing key, a
            wrong type, sizes that no model takes, a digest that does not match, or a starting
            point.
    """
    file = Path(path)
    data = read_mapping(file, SCHEMA, "`sol tune` writes runs/<id>/recipe.yaml.")
    _check_kind(data, file)
    recipe = parse_mapping(_ADAPTER, data, SCHEMA, file)
    _check_sizes(recipe, file)
    if recipe.digest != compute_digest(recipe):
        raise RecipeError(
            f"{path}: digest does not match its content: the file was changed after it was "
            f"written ({recipe.digest[:19]}… recorded). Use the original, or tune again."
        )
    return recipe


def dump_recipe(recipe: Recipe) -> str:
    """The YAML text of a recipe, with its digest filled in."""
    return dump_plain(_plain(replace(recipe, digest=compute_digest(recipe))))


def compute_digest(recipe: Recipe) -> str:
    """Over everything that was measured: all but `approval` and the digest itself."""
    data = _plain(recipe)
    del data["approval"], data["digest"]
    return f"sha256:{digest_of(data)}"


def _check_kind(data: Mapping[str, Any], path: Path) -> None:
    if data.get("schema") == STARTING_POINT_SCHEMA:
        raise RecipeError(
            f"{path} is a starting point, not an accepted recipe: nothing of it was measured "
            "here. `sol tune` tries it first, and writes a recipe of what passes the gate."
        )


def _check_sizes(recipe: Recipe, path: Path) -> None:
    if len(recipe.stack) > _MOST_MEMBERS:
        raise RecipeError(
            f"{path}: stack has {len(recipe.stack)} members, at most {_MOST_MEMBERS} are read."
        )
    for name, most in _LARGEST_WORKLOAD.items():
        value = getattr(recipe.target.workload, name)
        if value > most:
            raise RecipeError(
                f"{path}: target.workload.{name} is {value}, at most {most} is read: no video "
                "model takes as much. Correct it."
            )


def _plain(recipe: Recipe) -> dict[str, Any]:
    data: dict[str, Any] = _ADAPTER.dump_python(recipe, mode="json")
    evidence = data["evidence"]
    # Younger than some recipes, whose digests must stay what they are.
    for part, key in (
        (evidence, "cold_start"),
        (evidence["memory"], "kept_for_undo"),
        (evidence["memory"], "weights_after_undo"),
    ):
        if part[key] is None:
            del part[key]
    return data
