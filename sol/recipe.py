"""The recipe file: an accepted stack with its target and its evidence, as YAML.

Plain data: loading executes nothing. A digest over everything but the approval binds the file
to what was measured; a change by hand is noticed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import TypeAdapter, ValidationError

from sol.errors import ConfigError, RecipeError
from sol.schedule import Schedule
from sol.target import STRICT, Target, digest_of
from sol.validation import explain, validate_plain

SCHEMA: Final = "sol.recipe/1"


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
        RecipeError: No such file, not YAML, an unknown or missing key, a wrong type, or a digest
            that does not match.
    """
    recipe = _parse(_read_mapping(Path(path)), str(path))
    if recipe.digest != compute_digest(recipe):
        raise RecipeError(
            f"{path}: digest does not match its content: the file was changed after it was "
            f"written ({recipe.digest[:19]}… recorded). Use the original, or tune again."
        )
    return recipe


class _Dumper(yaml.SafeDumper):
    """Plain YAML, with a list of numbers in one line: a fitted table is not for reading."""


def _represent_list(dumper: yaml.SafeDumper, items: list[Any]) -> yaml.SequenceNode:
    is_table = bool(items) and all(isinstance(item, int | float) for item in items)
    flow_style = True if is_table else None
    return dumper.represent_sequence("tag:yaml.org,2002:seq", items, flow_style=flow_style)


_Dumper.add_representer(list, _represent_list)


def dump_recipe(recipe: Recipe) -> str:
    """The YAML text of a recipe, with its digest filled in."""
    data = _plain(replace(recipe, digest=compute_digest(recipe)))
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=99)


def compute_digest(recipe: Recipe) -> str:
    """Over everything that was measured: all but `approval` and the digest itself."""
    data = _plain(recipe)
    del data["approval"], data["digest"]
    return f"sha256:{digest_of(data)}"


def _read_mapping(path: Path) -> Mapping[str, Any]:
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(
            f"No recipe at {path}: `sol tune` writes runs/<id>/recipe.yaml."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is not YAML: {_one_line(error)}") from error
    if not isinstance(data, dict):
        raise RecipeError(f"{path} is not a recipe: expected a mapping with 'schema: {SCHEMA}'.")
    return data


def _parse(data: Mapping[str, Any], where: str) -> Recipe:
    if data.get("schema") != SCHEMA:
        raise RecipeError(
            f"{where}: schema is {data.get('schema')!r}, this version of Sol reads {SCHEMA!r}."
        )
    try:
        return validate_plain(_ADAPTER, data, default=str)
    except ValidationError as error:
        raise RecipeError(f"{where}: {explain(error)}") from error


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


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
