"""Gate profiles: what must hold before a stack is accepted, as a YAML file that a person owns."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from sol.errors import SolError, UnknownNameError
from sol.target import STRICT, digest_of
from sol.validation import explain, validate_plain
from sol.validator.metrics.table import PAIRED_METRICS, VIDEO_METRICS
from sol.validator.records import PROBES

SCHEMA = "sol.gate/1"
PROFILE_DIR = Path(__file__).parent / "profiles"


class ProfileError(SolError):
    """A gate profile that cannot be read or has a wrong key, type or value."""


def _one_of(kind: str, known: tuple[str, ...]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in known:
            raise ValueError(f"unknown {kind}, known: {', '.join(sorted(known))}")
        return name

    return AfterValidator(check)


VideoMetric = Annotated[str, _one_of("video metric", tuple(VIDEO_METRICS))]
PairedMetric = Annotated[str, _one_of("paired metric", tuple(PAIRED_METRICS))]
ProbeName = Annotated[str, _one_of("probe", PROBES)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Difference:
    """Lower bound of the mean of accelerated - baseline: at least -margin."""

    __pydantic_config__ = STRICT

    metric: VideoMetric
    kind: Literal["difference"]
    margin: NotNegative


@dataclass(frozen=True)
class Floor:
    """Lower bound of the mean of a paired metric: at least margin."""

    __pydantic_config__ = STRICT

    metric: PairedMetric
    kind: Literal["floor"]
    margin: Finite


@dataclass(frozen=True)
class Worst:
    """Lowest value of a paired metric in any single video: at least margin."""

    __pydantic_config__ = STRICT

    metric: PairedMetric
    kind: Literal["worst"]
    margin: Finite


@dataclass(frozen=True)
class Ratio:
    """Mean accelerated over mean baseline: inside [low, high] by both one-sided bounds."""

    __pydantic_config__ = STRICT

    metric: VideoMetric
    kind: Literal["ratio"]
    low: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    high: Annotated[float, Field(ge=1, allow_inf_nan=False)]


Rule = Annotated[Difference | Floor | Worst | Ratio, Field(discriminator="kind")]


def _no_repeats(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    counts = Counter((rule.metric, rule.kind) for rule in rules)
    for (metric, kind), count in counts.items():
        if count > 1:
            raise ValueError(f"{metric} has {count} rules of kind {kind}, keep one")
    return rules


Rules = Annotated[tuple[Rule, ...], Field(min_length=1), AfterValidator(_no_repeats)]


@dataclass(frozen=True)
class Profile:
    """One gate.

    Attributes:
        confidence: Of every one-sided bound.
        n_prompts: Prompts that a decision needs; the unit of every bound.
        n_seeds: Videos of each prompt; they are averaged first.
        probes: Findings that must be there and have passed.
        metrics: Rules that must all hold; a gain in one never offsets a loss in another.
    """

    __pydantic_config__ = STRICT

    schema: Literal["sol.gate/1"]
    name: str
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    n_prompts: Annotated[int, Field(ge=2)]
    n_seeds: Annotated[int, Field(ge=1)]
    probes: tuple[ProbeName, ...]
    metrics: Rules

    @property
    def metric_names(self) -> frozenset[str]:
        """The metrics that the rules look at."""
        return frozenset(rule.metric for rule in self.metrics)

    @property
    def digest(self) -> str:
        """SHA-256 of everything the profile says."""
        return digest_of(asdict(self))


def load_profile(name_or_path: str | Path) -> Profile:
    """Loads a shipped profile by its name, or any by the path of its YAML file.

    Raises:
        UnknownNameError: A name that is neither shipped nor a file.
        ProfileError: A file that cannot be read or breaks a rule; each is named with its key.
    """
    path = _find_profile(str(name_or_path))
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ProfileError(f"Gate profile {path} cannot be read as YAML: {error}") from error
    return parse_profile(data, source=str(path))


def parse_profile(data: Any, source: str) -> Profile:
    """Checks plain data strictly; `source` names it in errors.

    Raises:
        ProfileError: One line per problem: key, rule, value.
    """
    try:
        return validate_plain(_PROFILE, data, default=str)
    except ValidationError as error:
        raise ProfileError(
            f"Gate profile {source} is not valid:\n{explain(error)}\n"
            f"Correct these keys; {PROFILE_DIR.name}/near-lossless.yaml shows every kind of rule."
        ) from error


def _find_profile(name_or_path: str) -> Path:
    shipped = {path.stem: path for path in PROFILE_DIR.glob("*.yaml")}
    if name_or_path in shipped:
        return shipped[name_or_path]
    path = Path(name_or_path)
    if path.is_file():
        return path
    raise UnknownNameError(
        "gate profile", name_or_path, shipped, "A path to a YAML file works as well."
    )


_PROFILE: TypeAdapter[Profile] = TypeAdapter(Profile)
