"""What the gate says: a verdict and every check behind it, as plain data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from sol.validator.records import Comparison

LABELS = {"embedded": "embedded (proxy, not VBench)"}


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
    """

    name: str
    passed: bool
    value: float | None
    bound: float | None
    margin: float | None
    n: int
    detail: str
    rule: Comparison = ">="


@dataclass(frozen=True)
class Verdict:
    """Accepted, or rejected with the reason of every failed check."""

    verdict: Literal["accepted", "rejected"]
    backend: Literal["embedded"]
    profile: str
    profile_digest: str
    checks: tuple[Check, ...]
    reasons: tuple[str, ...]

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
