"""Which stacks are measured and judged, and when the search for a faster one ends."""

from typing import Any

import numpy as np
import pytest
from examples import diagnosis_of
from sessions import JudgedWorker, session_of

from sol.search.orchestrator import AgentRecord
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
    return session_of(PlainWorker, journal, tmp_path, diagnosis, stacks=1, n_calibration=1)


def point(technique: str, speed: float, psnr: float = 45.0, good: bool = True, really: float = 0):
    config = {"psnr": psnr, "good": good, "really": really or speed}
    return FrontierPoint(
        Proposal(1, get_technique(technique).skill, technique, config, "", 1.0),
        Quality(psnr, psnr, 0.9, speed, 2),
        Speed(speed, speed, speed, 3, (1.0,), (1.0 / speed,)),
    )


def choose(session, *points):
    agents: dict[str, AgentRecord] = {}
    for p in points:
        record = agents.setdefault(p.proposal.skill, AgentRecord(p.proposal.skill, 4.0))
        record.frontier += (p,)
        record.spaces = {**record.spaces, p.proposal.technique: Space()}
    return choose_stack(session, agents)


def techniques(stack):
    return {item.technique for item in stack.measured.candidate.stack}


def test_a_stack_that_was_promised_more_is_measured_though_one_is_accepted(session):
    """The first is slower than predicted: the second, predicted a little slower, wins."""
    points = (point("easycache", 1.9, really=1.5), point("planned", 1.8))
    _, judged = choose(session, *points)
    assert [j.is_accepted for j in judged] == [True, True]
    assert techniques(find_winner(judged)) == {"planned"}


def test_what_is_predicted_slower_than_the_winner_is_not_measured(session):
    measured, judged = choose(session, point("easycache", 1.9), point("planned", 1.8))
    assert len(measured) == len(judged) == 1
    assert techniques(find_winner(judged)) == {"easycache"}


def test_what_is_no_better_than_a_rejected_stack_waits_for_what_is(session):
    points = (
        point("easycache", 2.0, psnr=40.0, good=False),
        point("teacache", 1.9, psnr=41.0, good=False),
        point("planned", 1.8, psnr=50.0),
    )
    measured, judged = choose(session, *points)
    assert [techniques(j) for j in judged] == [{"easycache"}, {"planned"}]
    assert len(measured) == 2


def test_once_one_is_accepted_overlapping_gains_are_no_reason_to_go_on(session):
    """easycache and pab both reuse: multiplied they are predicted faster than either."""
    measured, judged = choose(session, point("easycache", 1.9), point("pab", 1.5))
    assert [techniques(j) for j in judged] == [{"easycache"}]
    assert len(measured) == 1


def test_what_does_not_overlap_is_combined(session):
    points = (point("easycache", 1.9), point("int8_dynamic", 1.4))
    _, judged = choose(session, *points)
    assert techniques(find_winner(judged)) == {"easycache", "int8_dynamic"}


def test_nothing_is_the_winner_of_nothing():
    assert find_winner(()) is None
