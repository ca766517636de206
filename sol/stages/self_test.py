"""Tries a gate on a model with what it must reject, and with what it must accept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sol.models.prompts import calibration_prompts
from sol.search.altered import Altered
from sol.search.crew import Crew
from sol.stages.evidence import GateSetting
from sol.stages.gate import Gate
from sol.target import Workload
from sol.validator.damage import blur, flicker, freeze, lag, shift_colour, stutter
from sol.validator.verdict import Verdict

_MORE_GUIDANCE = 1.2


@dataclass(frozen=True)
class Planted:
    """Videos whose difference to the baseline is known.

    Attributes:
        what: For the reader.
        is_harmless: Whether the gate must accept it.
    """

    name: str
    what: str
    arm: Altered
    is_harmless: bool = False


@dataclass(frozen=True)
class PlantedResult:
    """What the gate said of it.

    Attributes:
        caught_by: Names of the checks that failed.
    """

    planted: Planted
    verdict: Verdict
    caught_by: tuple[str, ...]

    @property
    def is_right(self) -> bool:
        """Whether the gate did as it must."""
        return self.verdict.is_accepted == self.planted.is_harmless

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "planted": self.planted.name,
            "what": self.planted.what,
            "must_be": "accepted" if self.planted.is_harmless else "rejected",
            "caught_by": self.caught_by,
            "verdict": self.verdict.to_json(),
        }


def list_planted(workload: Workload, prompts: str) -> tuple[Planted, ...]:
    """The baseline against itself, then every kind of damage.

    Args:
        prompts: Name of the prompt set.
    """
    half = workload.steps // 2
    other = calibration_prompts(prompts, 1)[0]
    guided = (
        [Planted("guidance x1.2", "guidance scale 1.2 times as high", _guided(workload))]
        if workload.guidance_scale > 1.0
        else []
    )
    return (
        Planted("A/A", "the baseline against itself", Altered(), is_harmless=True),
        Planted(
            "A/A jitter",
            "a relative error of up to 1/512 in every output of the denoiser",
            Altered(jitter=0),
            is_harmless=True,
        ),
        Planted("blur", "a blur of 1.2 pixels", Altered(spoil=blur)),
        Planted("freeze", "the first frame throughout", Altered(spoil=freeze)),
        Planted("stutter", "every second frame twice", Altered(spoil=stutter)),
        Planted("lag", "one frame late", Altered(spoil=lag)),
        Planted("flicker", "every second frame 5% darker", Altered(spoil=flicker)),
        Planted("colour shift", "5% more red, 5% less blue", Altered(spoil=shift_colour)),
        *guided,
        Planted(
            "fewer steps",
            f"{half} steps instead of {workload.steps}",
            Altered(overrides={"steps": half}),
        ),
        Planted("wrong prompt", "the same noise, another prompt", Altered(prompt=other)),
    )


def run_self_test(
    crew: Crew,
    setting: GateSetting,
    planted: Sequence[Planted],
    hear: Callable[[PlantedResult], None] = lambda _: None,
) -> tuple[PlantedResult, ...]:
    """Every kind at a gate of its own, as if it were the first stack of a run."""
    results = []
    for item in planted:
        verdict = Gate(crew, setting).judge(item.arm).verdict
        caught_by = tuple(check.name for check in verdict.checks if not check.passed)
        results.append(PlantedResult(item, verdict, caught_by))
        hear(results[-1])
    return tuple(results)


def _guided(workload: Workload) -> Altered:
    return Altered(overrides={"guidance_scale": _MORE_GUIDANCE * workload.guidance_scale})
