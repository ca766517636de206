"""What a member of a stack adds is measured by leaving it out; what adds nothing goes."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest
from example_prompts import DIAGNOSIS
from searches import search_of
from sessions import JudgedWorker, session_of

from sol.integrator.compose import make_candidate
from sol.integrator.measured import MeasuredStack
from sol.measure.stats import Interval
from sol.search.records import FrontierPoint, Proposal, Quality, Speed
from sol.skills.registry import TECHNIQUES, get_technique
from sol.space import Space
from sol.stages.trim import divide, trim


class WholeStackWorker(JudgedWorker):
    """Speed-ups multiply; errors add up by loss."""

    def measure_quality(self, stack: Any, pairs: Any, floor: Any) -> Quality:
        if [item.technique for item in stack] == ["int8_dynamic"]:
            raise MemoryError("no room")
        psnr = 45.0 - sum(item.config["loss"] for item in stack)
        return Quality(psnr, psnr, 0.9, self._speed(stack), len(pairs))

    def _speed(self, stack: Any) -> float:
        speed = 1.0
        for item in stack:
            speed *= item.config["gain"]
        return speed


def point(technique: str, gain: float, loss: float = 0.0) -> FrontierPoint:
    config = {"gain": gain, "loss": loss}
    return FrontierPoint(
        Proposal(
            1, get_technique(technique).skill, technique, config, "", 1.0, knobs=tuple(config)
        ),
        Quality(45.0 - loss, 45.0 - loss, 0.9, gain, 2),
        Speed(gain, gain - 0.02, gain + 0.02, 3, (1.0,), (1.0 / gain,)),
    )


@pytest.fixture
def trimmed(tmp_path, journal):
    session = session_of(WholeStackWorker, journal, tmp_path, DIAGNOSIS)

    def trim_stack(*points: FrontierPoint):
        spaces = {p.proposal.technique: Space() for p in points}
        composer = search_of(session, *points, spaces=spaces).composer
        members = [stack.candidate.members[0] for stack in composer.stacks]
        candidate = make_candidate(members, TECHNIQUES, composer.model)
        speed = prod(p.speed.median for p in points)
        whole = MeasuredStack(
            candidate,
            Quality(40.0, 40.0, 0.9, speed, 2),
            Speed(speed, speed - 0.02, speed + 0.02, 3, (), ()),
        )
        return trim(session, composer, whole)

    return trim_stack


def names(stack: MeasuredStack) -> set[str]:
    return {effect.technique for effect in stack.candidate.members}


def test_each_member_is_left_out_in_turn_the_least_first(trimmed):
    stack, (small, large) = trimmed(point("easycache", 1.8, 3.0), point("text_kv", 1.2))
    assert names(stack) == {"easycache", "text_kv"}
    assert (small.technique, large.technique) == ("text_kv", "easycache")
    assert small.adds.median == pytest.approx(1.2)
    assert small.speedup_without.median == pytest.approx(1.8)
    assert large.adds.median == pytest.approx(1.8)
    assert (large.psnr_without, large.psnr_with) == (45.0, 40.0)


def test_what_adds_nothing_is_removed_and_the_stack_goes_on_without_it(trimmed):
    stack, (idle,) = trimmed(point("easycache", 1.8), point("text_kv", 1.0))
    assert names(stack) == {"easycache"}
    assert idle.removed
    assert idle.reason == "no gain beyond what 9 pairs can tell"
    assert stack.speed.median == pytest.approx(1.8)


def test_what_cannot_be_measured_stays_and_says_why(trimmed, journal_lines):
    stack, found = trimmed(point("easycache", 1.8), point("int8_dynamic", 1.4))
    lost = next(c for c in found if c.technique == "easycache")
    assert names(stack) == {"easycache", "int8_dynamic"}
    assert "no room" in lost.reason
    assert lost.adds is None
    told = {line["technique"]: line["turn"] for line in journal_lines() if "technique" in line}
    assert told == {"int8_dynamic": "leave_out", "easycache": "cannot_leave_out"}


def test_one_member_is_the_stack(trimmed):
    stack, contributions = trimmed(point("easycache", 1.8))
    assert contributions == ()
    assert names(stack) == {"easycache"}


def test_the_interval_of_a_ratio_has_both_spreads_in_it():
    ratio = divide(Interval(2.0, 1.8, 2.2, 9), Interval(1.0, 0.9, 1.1, 5))
    assert ratio.median == pytest.approx(2.0)
    assert ratio.low < 2.0 * 1.8 / 2.0
    assert ratio.high > 2.0 * 2.2 / 2.0
    assert ratio.low > 1.8 / 1.1
    assert ratio.high < 2.2 / 0.9
    assert ratio.n == 5


def test_a_ratio_to_a_sure_number_keeps_its_own_spread():
    ratio = divide(Interval(2.0, 1.8, 2.2, 9), Interval(1.0, 1.0, 1.0, 9))
    assert (ratio.low, ratio.high) == (pytest.approx(1.8), pytest.approx(2.2))
