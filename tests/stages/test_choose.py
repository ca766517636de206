"""Which stacks are measured and judged, and when the search for a faster one ends."""

from typing import Any

import numpy as np
import pytest
from examples import diagnosis_of
from fakes import FakeWorker

from sol.search.budget import Budget
from sol.search.crew import Crew
from sol.search.executors.inline import InlineExecutor
from sol.search.journal import Journal
from sol.search.orchestrator import AgentRecord
from sol.search.records import FrontierPoint, Proposal, Quality, Speed
from sol.search.worker import MemoryReading, WorkerPlan
from sol.skills.registry import get_technique
from sol.space import Space
from sol.stages.choose import choose_stack
from sol.stages.judge import find_winner
from sol.stages.request import Session, TuneRequest
from sol.target import Target
from sol.validator.profile import parse_profile

PROFILE = parse_profile(
    {
        "schema": "sol.gate/1",
        "name": "test",
        "confidence": 0.95,
        "n_prompts": 2,
        "n_seeds": 1,
        "probes": [],
        "metrics": [{"metric": "psnr", "kind": "floor", "margin": 30.0}],
    },
    "test",
)


class PlainWorker(FakeWorker):
    """Every config says how fast it is, its PSNR, and whether the gate will find it good."""

    def measure_quality(self, stack: Any, pairs: Any, floor: Any) -> Quality:
        psnr = min(item.config["psnr"] for item in stack)
        return Quality(psnr, psnr, 0.9, self._speed(stack), len(pairs))

    def _speed(self, stack: Any) -> float:
        return float(np.prod([item.config["really"] for item in stack]))

    def compare(self, stack: Any, pair: Any, compare: Any) -> Any:
        frames = np.full((6, 16, 16, 3), 0.2, np.float32)
        for t in range(6):
            frames[t, :, 2 * t : 2 * t + 3] = 0.8
        other = frames if all(item.config["good"] for item in stack) else frames[::-1]
        return compare(*pair, frames, other.copy()), {}

    def latents_after_undo(self, stack: Any, pair: Any) -> Any:
        return np.ones(3, np.float32), np.ones(3, np.float32)

    latents_at_identity = latents_after_undo

    def final_latents(self, stack: Any, pairs: Any) -> Any:
        return np.ones(3, np.float32)

    def measure_memory(self, stack: Any, pair: Any) -> MemoryReading:
        return MemoryReading(1, 1, 1, 1)


@pytest.fixture
def session(tmp_path):
    executor = InlineExecutor(make_worker=PlainWorker)
    infos = executor.start_workers(WorkerPlan("fake", None, None, {}, tmp_path))
    request = TuneRequest(
        "fake", None, None, {}, Budget("t", 1.0, 1, 2, 3, 1, 3), PROFILE, ("cache",), 0, tmp_path
    )
    target = Target(infos[0].model, infos[0].hardware, infos[0].workload)
    timing = Speed(1.0, 0.98, 1.02, 3, (1.0,), (1.0,))
    with Journal(tmp_path / "journal.jsonl", lambda: 0.0) as journal:
        yield Session(
            request, executor, Crew(executor, infos), journal, infos, target,
            calibration=(("a", 0),), held_out=(("c", 2), ("d", 3)),
            diagnosis=diagnosis_of((0.1,)), self_timing=timing,
        )  # fmt: skip


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
