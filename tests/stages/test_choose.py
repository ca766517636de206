"""Which stacks go to the gate, and when the search for a faster one ends."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from example_prompts import diagnosis_of
from searches import search_of
from sessions import JudgedWorker, session_of

from sol.search.records import FrontierPoint, Proposal, Quality, Speed
from sol.skills.registry import get_technique
from sol.space import Space
from sol.stages.choose import choose_stack
from sol.stages.judge import find_winner


class PlainWorker(JudgedWorker):
    """Every config says how fast it is, its PSNR, and whether the gate will find it good."""

    def measure_quality(self, stack: Any, pairs: Any, floor: Any) -> Quality:
        psnr = min(item.config["psnr"] for item in stack)
        return Quality(psnr, psnr, 0.9, self._speed(stack), len(pairs))

    def _speed(self, stack: Any) -> float:
        return float(np.prod([item.config["really"] for item in stack]))

    def is_good(self, stack: Any) -> bool:
        return all(item.config["good"] for item in stack)


@pytest.fixture
def session(tmp_path, journal):
    diagnosis = diagnosis_of((0.1,))
    return session_of(PlainWorker, journal, tmp_path, diagnosis, stacks=4, n_calibration=1)


def point(technique: str, speed: float, psnr: float = 45.0, good: bool = True):
    config = {"psnr": psnr, "good": good, "really": speed}
    return FrontierPoint(
        Proposal(
            1, get_technique(technique).skill, technique, config, "", 1.0, knobs=tuple(config)
        ),
        Quality(psnr, psnr, 0.9, speed, 2),
        Speed(speed, speed - 0.02, speed + 0.02, 3, (1.0,), (1.0 / speed,)),
    )


def choose(session, *points):
    spaces = {p.proposal.technique: Space() for p in points}
    return choose_stack(session, search_of(session, *points, spaces=spaces))


def techniques(stack):
    return {item.technique for item in stack.measured.candidate.stack}


def test_the_fastest_goes_to_the_gate_and_the_others_stay_where_it_is_accepted(session):
    choice = choose(session, point("easycache", 1.9), point("planned", 1.8))
    assert [techniques(j) for j in choice.judged] == [{"easycache"}]
    assert choice.judged[0].is_accepted


def test_what_is_no_better_than_a_rejected_stack_does_not_go_there(session):
    choice = choose(
        session,
        point("easycache", 2.0, psnr=40.0, good=False),
        point("teacache", 1.9, psnr=41.0, good=False),
        point("planned", 1.8, psnr=50.0),
    )
    assert [techniques(j) for j in choice.judged] == [{"easycache"}, {"planned"}]
    assert techniques(find_winner(choice.judged)) == {"planned"}
    aside = {s.candidate.label.split()[0]: s.set_aside for s in choice.measured}
    assert (
        aside["teacache"]
        == "41.0 dB on calibration, 42.0 dB needed since a faster stack fell short"
    )
    assert aside["planned"] == ""


def test_a_stack_with_all_the_loss_of_a_rejected_one_is_not_judged(session):
    choice = choose(session, point("easycache", 2.0, good=False), point("text_kv", 1.2))
    judged = [techniques(j) for j in choice.judged]
    assert judged[0] >= {"easycache"}
    assert all("easycache" not in names for names in judged[1:])


def test_what_does_not_exclude_one_another_is_combined(session):
    choice = choose(session, point("easycache", 1.9), point("int8_dynamic", 1.4))
    assert techniques(find_winner(choice.judged)) == {"easycache", "int8_dynamic"}


def test_every_measured_stack_is_told_the_fastest_first(session):
    choice = choose(session, point("easycache", 1.9), point("int8_dynamic", 1.4))
    speeds = [stack.speedup for stack in choice.measured]
    assert speeds == sorted(speeds, reverse=True)
    assert len(speeds) == 3


def test_what_gains_nothing_beyond_the_noise_is_not_judged(session):
    assert choose(session, point("easycache", 1.02)).judged == []


def test_without_a_setting_there_is_nothing_to_judge(session):
    choice = choose(session)
    assert choice.judged == []
    assert choice.measured == ()


def test_nothing_is_the_winner_of_nothing():
    assert find_winner(()) is None


class FlatteredWorker(PlainWorker):
    """On the further prompts easycache is worse than on those of the calibration."""

    def measure_quality(self, stack: Any, pairs: Any, floor: Any) -> Quality:
        quality = super().measure_quality(stack, pairs, floor)
        is_flattered = any(item.technique == "easycache" for item in stack)
        if not is_flattered or pairs[0][0].startswith("prompt"):
            return quality
        return replace(quality, psnr=floor.psnr - 2.0)


def test_what_falls_short_on_further_prompts_does_not_go_to_the_gate(tmp_path, journal):
    session = session_of(FlatteredWorker, journal, tmp_path, diagnosis_of((0.1,)))
    session = replace(session, further=(("further", 7),))
    points = (point("easycache", 1.9, psnr=33.0), point("planned", 1.8, psnr=45.0))
    choice = choose(session, *points)
    assert [techniques(j) for j in choice.judged] == [{"planned"}]
    (out,) = [s for s in choice.measured if s.reason]
    assert out.reason == "28.0 dB on calibration, 30.0 dB needed, over 1 further prompts"


def test_the_next_stack_must_be_better_by_as_much_as_the_one_before_was_flattered(
    tmp_path, journal
):
    """easycache had 33 dB and 28 on further prompts: 35 dB are needed now."""
    session = session_of(FlatteredWorker, journal, tmp_path, diagnosis_of((0.1,)))
    session = replace(session, further=(("further", 7),))
    points = (point("easycache", 1.9, psnr=33.0), point("planned", 1.8, psnr=34.0))
    search = search_of(session, *points, spaces={})
    assert choose_stack(session, search).judged == []
    assert search.composer.floor.psnr == 35.0
