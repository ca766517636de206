"""Gate profiles: what must hold before a stack is accepted, as a YAML file that a person owns."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError

from sol.errors import SolError, UnknownNameError
from sol.target import STRICT, digest_of
from sol.validation import explain, validate_plain
from sol.validator.records import PROBES
from sol.validator.rule_kinds import VBENCH_METRICS, Difference, Rule, Rules, one_of
from sol.validator.spending import spent_error
from sol.validator.tail import allowed_failures
from sol.validator.verdict import Backend

SCHEMA = "sol.gate/2"
PROFILE_DIR = Path(__file__).parent / "profiles"


class ProfileError(SolError):
    """A gate profile that cannot be read or has a wrong key, type or value."""


ProbeName = Annotated[str, one_of("probe", PROBES)]
Confidence = Annotated[float, Field(gt=0.5, lt=1)]


def _rising(looks: tuple[int, ...]) -> tuple[int, ...]:
    spent_error(looks, alpha=0.05, rho=1.0)
    return looks


@dataclass(frozen=True)
class Screening:
    """A first look at prompts that any number of stacks may be held against.

    It promises nothing: it keeps stacks that would fail from using up the confirmation.

    Attributes:
        prompts: How many.
        confidence: Of its one-sided bounds, and of those of a stratum; the tail's share counts as
            it is.
    """

    __pydantic_config__ = STRICT

    prompts: Annotated[int, Field(ge=2)]
    confidence: Confidence


@dataclass(frozen=True)
class Confirmation:
    """The looks at held-out prompts that decide.

    Attributes:
        looks: Prompts seen by each look; it ends at the first that accepts or is hopeless.
        spending: rho of the error spending alpha t^rho over the looks.
        futility: A look rejects a stack that has less than this chance to pass at the last one.
        candidates: Stacks of one run that may be confirmed; by Holm they share the error.
        extra: Further prompts of the worst stratum, before a stack is accepted.
    """

    __pydantic_config__ = STRICT

    looks: Annotated[tuple[int, ...], Field(min_length=1), AfterValidator(_rising)]
    spending: Annotated[float, Field(gt=0, le=10)]
    futility: Annotated[float, Field(ge=0, lt=0.5)]
    candidates: Annotated[int, Field(ge=1)]
    extra: Annotated[int, Field(ge=0)]


@dataclass(frozen=True)
class GuidanceRange:
    """Effective guidance scale over the baseline's: inside [low, high] by one-sided bounds."""

    __pydantic_config__ = STRICT

    prompts: Annotated[int, Field(ge=2)]
    confidence: Confidence
    low: Annotated[float, Field(gt=0, le=1)]
    high: Annotated[float, Field(ge=1)]


@dataclass(frozen=True)
class Profile:
    """One gate.

    Attributes:
        confidence: That no recipe of a run was accepted wrongly, over all looks and candidates.
        seeds: Videos of each prompt; they are averaged, the prompt is the unit of every bound.
        probes: Findings that must be there and have passed.
        tail: The share of all prompts that may fall beyond a rule's `worst`, by an exact bound.
        metrics: Rules that must all hold; a gain in one never offsets a loss in another.
        vbench: Further rules, where the back-end is VBench.
        guidance: None to leave the effective guidance alone.
    """

    __pydantic_config__ = STRICT

    schema: Literal["sol.gate/2"]
    name: str
    confidence: Confidence
    seeds: Annotated[int, Field(ge=1)]
    screening: Screening
    confirmation: Confirmation
    probes: tuple[ProbeName, ...]
    tail: Annotated[float, Field(gt=0, lt=1)]
    metrics: Annotated[Rules, Field(min_length=1)]
    vbench: Rules = ()
    guidance: GuidanceRange | None = None

    def __post_init__(self) -> None:
        _check_side("metrics", self.metrics, is_vbench=False)
        _check_side("vbench", self.vbench, is_vbench=True)
        if any(getattr(rule, "worst", None) is not None for rule in self.metrics):
            _check_tail(self.tail, self.confirmation, self.confidence)

    def rules(self, backend: Backend) -> tuple[Rule, ...]:
        """All rules that hold with a back-end."""
        return (*self.metrics, *(self.vbench if backend == "vbench" else ()))

    @property
    def metric_names(self) -> frozenset[str]:
        """The metrics that the rules of the embedded back-end look at."""
        return frozenset(rule.metric for rule in self.metrics)

    @property
    def digest(self) -> str:
        """SHA-256 of everything the profile says."""
        return digest_of(asdict(self))


def without_mechanics(profile: Profile) -> Profile:
    """The same gate for videos that no technique made: its probes have nothing to look at."""
    return replace(profile, probes=())


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


def load_shipped_profile(name: str) -> Profile:
    """As `load_profile`, for a name that comes from a file: no path is followed.

    Raises:
        UnknownNameError: No profile of this name is shipped.
    """
    if name not in _shipped():
        remedy = "Where it is a file of your own, name it with --gate."
        raise UnknownNameError("gate profile", name, _shipped(), remedy)
    return load_profile(name)


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


def _check_side(key: str, rules: tuple[Rule, ...], *, is_vbench: bool) -> None:
    for rule in rules:
        if (rule.metric in VBENCH_METRICS) != is_vbench:
            place = "metrics" if is_vbench else "vbench"
            raise ValueError(f"{rule.metric} cannot stand under {key}, put it under {place}")
        if (
            is_vbench
            and isinstance(rule, Difference)
            and (rule.stratum, rule.worst) != (None, None)
        ):
            raise ValueError(f"{rule.metric}: VBench rules have no stratum and no worst limit")


def _check_tail(share: float, confirmation: Confirmation, confidence: float) -> None:
    """A rule that no evidence can satisfy is a mistake, not a strict gate."""
    alpha = (1.0 - confidence) / confirmation.candidates
    allowed = allowed_failures(confirmation.looks, share, alpha, confirmation.spending)
    if all(number is None for number in allowed):
        raise ValueError(
            f"tail: {confirmation.looks[-1]} prompts cannot show that at most {share:.1%} fall "
            "beyond a worst limit; raise the last look or the share"
        )


def _find_profile(name_or_path: str) -> Path:
    shipped = _shipped()
    if name_or_path in shipped:
        return shipped[name_or_path]
    path = Path(name_or_path)
    if path.is_file():
        return path
    raise UnknownNameError(
        "gate profile", name_or_path, shipped, "A path to a YAML file works as well."
    )


def _shipped() -> dict[str, Path]:
    return {path.stem: path for path in PROFILE_DIR.glob("*.yaml")}


_PROFILE: TypeAdapter[Profile] = TypeAdapter(Profile)
