"""What the gate says: a verdict and every check behind it, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sol.validator.records import Comparison

Backend = Literal["embedded", "vbench"]
Outcome = Literal["accepted", "rejected", "undecided"]
LABELS: Mapping[Backend, str] = {
    "embedded": "embedded (proxy, not VBench)",
    "vbench": "VBench 0.1.5, custom mode, and embedded",
}


@dataclass(frozen=True)
class Check:
    """One rule held against the evidence.

    Attributes:
        value: The estimate; None where there is none.
        bound: What is compared: the confidence bound of the value, or the value itself.
        margin: The limit.
        n: How many prompts, videos or runs the bound rests on.
        detail: A sentence for the reader; for a failed check, the reason.
        rule: How `bound` must stand to `margin`.
        baseline: Mean over the baseline's videos, for a metric of one video.
        accelerated: The same over the accelerated videos.
        stage: Where it was made: "probes", "screening" or "confirmation".
    """

    name: str
    passed: bool
    value: float | None
    bound: float | None
    margin: float | None
    n: int
    detail: str
    rule: Comparison = ">="
    baseline: float | None = None
    accelerated: float | None = None
    stage: str = "confirmation"


@dataclass(frozen=True)
class Look:
    """One time at which the evidence so far was held against the profile.

    Attributes:
        phase: "screening" or "confirmation".
        confidence: Of every one-sided bound at this look.
    """

    phase: str
    n_prompts: int
    confidence: float
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True)
class StratumFinding:
    """The rule that is nearest to its limit in one kind of prompts.

    Attributes:
        value: Mean of the rule's quantity over the stratum; None where it cannot be bounded.
        bound: Its confidence bound.
        margin: The limit for a stratum.
    """

    stratum: str
    n_prompts: int
    metric: str
    value: float | None
    bound: float | None
    margin: float


@dataclass(frozen=True)
class Verdict:
    """Accepted, or rejected with the reason of every failed check.

    Attributes:
        stage: Where it was decided.
        looks: Every look at growing evidence, in order.
        strata: What was found for each kind of prompts, the worst first.
    """

    verdict: Literal["accepted", "rejected"]
    backend: Backend
    profile: str
    profile_digest: str
    checks: tuple[Check, ...]
    reasons: tuple[str, ...]
    stage: str = "confirmation"
    looks: tuple[Look, ...] = ()
    strata: tuple[StratumFinding, ...] = ()

    @property
    def is_accepted(self) -> bool:
        """Whether every check passed."""
        return self.verdict == "accepted"

    @property
    def label(self) -> str:
        """The backend as it must be shown: a proxy is never called VBench."""
        return LABELS[self.backend]

    def to_json(self) -> dict[str, Any]:
        """Plain data with the backend's label; no NaN or infinity in it."""
        return {**asdict(self), "label": self.label}
