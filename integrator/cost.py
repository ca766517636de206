"""The time of a stack, from the diagnosis and from what each member did alone.

A video is the denoiser's calls and the rest. A member leaves calls out, or makes a part of each
call cheaper. So the calls that are left multiply with what a call still costs; savings in one part
of a call multiply, savings in different parts add up; and what a member that skips costs beyond
the calls that it computes is paid whatever the others do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sol.diagnosis import Diagnosis
from sol.integrator.effects import Effect
from sol.technique import Seam, Technique


class Part(StrEnum):
    """A part of a denoiser call."""

    LINEAR = "linear"
    TEXT = "text"
    ATTENTION = "attention"
    REST = "rest"


_EVERYWHERE = frozenset(Part)

# What a technique works on, by the seams that it writes; a seam that is not here means everything.
PARTS_OF_SEAM: Mapping[Seam, frozenset[Part]] = {
    Seam.FEED_FORWARD_PRECISION: frozenset({Part.LINEAR, Part.TEXT}),
    Seam.ATTENTION_PRECISION: frozenset({Part.LINEAR, Part.TEXT}),
    Seam.LINEAR_KERNEL: frozenset({Part.LINEAR, Part.TEXT}),
    Seam.TEXT_PROJECTION: frozenset({Part.TEXT}),
    Seam.ATTENTION_BACKEND: frozenset({Part.ATTENTION}),
    Seam.ATTENTION_PATTERN: frozenset({Part.ATTENTION}),
    Seam.PROMPT_PROJECTION: frozenset({Part.REST}),
    Seam.ROTARY_TABLE: frozenset({Part.REST}),
    Seam.MODULATION: frozenset({Part.REST}),
}

_MOST = 0.95
"""Of a part, that a member can save: what is measured beyond it was saved elsewhere."""


@dataclass(frozen=True)
class TimeShares:
    """Shares of a baseline video's seconds: outside of the denoiser, and of a call's parts."""

    outside: float
    parts: Mapping[Part, float]

    @property
    def denoiser(self) -> float:
        """Of all parts together."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class MemberCost:
    """What one setting did alone.

    Attributes:
        time: Its video's seconds over the baseline's.
        computed: Share of the denoiser's calls that it computed.
        parts: Where in a call it saves.
    """

    time: float
    computed: float
    parts: frozenset[Part]


def shares_of(diagnosis: Diagnosis) -> TimeShares:
    """The shares that a diagnosis found; none is 0, so that nothing divides by it."""
    total = diagnosis.total_s
    text = diagnosis.part_s.get("text_projection", 0.0)
    linear = max(diagnosis.linear_s - text, 0.0)
    attention = diagnosis.bare_attention_s
    rest = max(diagnosis.denoise_s - linear - text - attention, 0.0)
    seconds = {
        Part.LINEAR: linear,
        Part.TEXT: text,
        Part.ATTENTION: attention,
        Part.REST: rest,
    }
    parts = {part: max(value / total, 1e-3) for part, value in seconds.items()}
    return TimeShares(max(1.0 - diagnosis.denoise_s / total, 0.0), parts)


def cost_of(technique: Technique, effect: Effect) -> MemberCost:
    """What a setting does alone."""
    return MemberCost(math.exp(effect.log_time), effect.computed, parts_of(technique))


def parts_of(technique: Technique) -> frozenset[Part]:
    """Where in a denoiser call a technique saves."""
    found: frozenset[Part] = frozenset()
    for seam in technique.writes:
        found |= PARTS_OF_SEAM.get(seam, _EVERYWHERE)
    return found


def predict_time(shares: TimeShares, members: Sequence[MemberCost]) -> float:
    """The seconds of a video with all members, over those of the baseline."""
    inside = [member for member in members if member.computed >= 1.0]
    skipping = [member for member in members if member.computed < 1.0]
    call = _call_cost(shares, inside)
    computed = max(1.0 - sum(1.0 - member.computed for member in skipping), 0.01)
    cheaper = math.prod(min(_cost_of_computed(shares, m), 1.0) for m in skipping)
    extra = sum(
        max(_cost_of_computed(shares, m) - 1.0, 0.0) * m.computed * shares.denoiser
        for m in skipping
    )
    return shares.outside + computed * call * cheaper + extra


def _cost_of_computed(shares: TimeShares, member: MemberCost) -> float:
    """What a call that a skipping member computes costs, all told, over one of the baseline's."""
    return _denoiser_time(shares, member) / (member.computed * shares.denoiser)


def _call_cost(shares: TimeShares, members: Sequence[MemberCost]) -> float:
    """What all calls cost together when none is left out."""
    left = {part: math.prod(_left(shares, m, part) for m in members) for part in Part}
    return sum(shares.parts[part] * left[part] for part in Part)


def _left(shares: TimeShares, member: MemberCost, part: Part) -> float:
    """The share of a part's seconds that is left with a member."""
    everywhere = _denoiser_time(shares, member) / shares.denoiser
    own = sum(shares.parts[p] for p in member.parts)
    saved = (shares.denoiser - _denoiser_time(shares, member)) / own
    if saved > _MOST:
        return everywhere
    return 1.0 - saved if part in member.parts else 1.0


def _denoiser_time(shares: TimeShares, member: MemberCost) -> float:
    return max(member.time - shares.outside, 1e-3)
