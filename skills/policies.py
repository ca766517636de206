"""What each skill's agent starts from: its bound, and what the diagnosis alone tells.

Imports no torch: agents run in processes without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from statistics import median
from types import MappingProxyType

from sol.diagnosis import Diagnosis
from sol.schedule import format_range

_SHORTEST_WINDOW = 2


@dataclass(frozen=True)
class Fact:
    """What the diagnosis tells without a trial: a sentence, and the data behind it."""

    text: str
    data: Mapping[str, float | str]


def _nothing(_: Diagnosis) -> Fact | None:
    return None


@dataclass(frozen=True)
class Policy:
    """The upper bound of a skill on a target, and how it is argued.

    Attributes:
        fact: What all agents should know before the first trial, if the diagnosis tells it.
    """

    skill: str
    bound: Callable[[Diagnosis], float]
    argument: str
    fact: Callable[[Diagnosis], Fact | None] = _nothing


def _bound_of_denoiser(diagnosis: Diagnosis) -> float:
    return diagnosis.bound_if_free(diagnosis.denoise_s)


def find_safe_steps(diagnosis: Diagnosis) -> Fact | None:
    """The longest run of steps whose output changes less than that of half the steps.

    Against the median, not the mean or a fixed limit: the first steps change by orders of
    magnitude more than the rest, and what counts as small differs by model and by number of steps.
    None where no two steps in a row change less.
    """
    changes = diagnosis.output_change
    limit = median(changes) if changes else 0.0
    is_calm = [(step, change < limit) for step, change in enumerate(changes, start=1)]
    runs = [
        [step for step, _ in group] for calm, group in groupby(is_calm, lambda s: s[1]) if calm
    ]
    longest = max(runs, key=len, default=[])
    if len(longest) < _SHORTEST_WINDOW:
        return None
    steps = format_range(frozenset(longest))
    text = f"steps {steps} change least (relative change below {limit:.2g})"
    return Fact(text, {"safe_steps": steps})


def _bound_of_linears(diagnosis: Diagnosis) -> float:
    """Without a factor for the format: what it is worth depends on what it is compared with.

    (Seen: int8 at 4.8 times the rate of float32 on a processor whose float32 library runs at half
    of what the processor can do, where the data sheet says four times.)
    """
    return diagnosis.bound_if_free(diagnosis.linear_s)


POLICIES: Mapping[str, Policy] = MappingProxyType(
    {
        policy.skill: policy
        for policy in (
            Policy("cache", _bound_of_denoiser, "no denoiser call at all", find_safe_steps),
            Policy("quantization", _bound_of_linears, "linear layers for nothing"),
            Policy("kernel_fusion", _bound_of_denoiser, "the denoiser for nothing"),
        )
    }
)
