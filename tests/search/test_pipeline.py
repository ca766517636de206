"""A trial on its way: a glance, all prompts' frames, then the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

import pytest

from sol.errors import SolError
from sol.search.crew import Crew
from sol.search.executors.base import Done
from sol.search.ladder import Ladder
from sol.search.pipeline import Pipeline, TrialSetting
from sol.search.records import Glance, Outcome, Proposal, Quality, QualityFloor, Speed, WorkerInfo
from sol.target import Hardware, Model, Workload

FLOOR = QualityFloor(30.0, 25.0)
SETTING = TrialSetting((("a", 0), ("b", 1)), FLOOR, 5)

GLANCE = Glance(0.01, 0.02, 8, 0.9, 1.1, True, 1.0)
STRAY = Glance(0.01, 0.02, 8, 0.9, 9.0, True, 1.0)
NOT_FINITE = Glance(0.01, None, 3, 0.9, 1.1, False, 1.0)
QUALITY = Quality(40.0, 38.0, 0.9, 1.5, 2)
TOO_BAD = Quality(28.0, 27.0, 0.8, 2.5, 2)
SPEED = Speed(1.5, 1.4, 1.6, 5, (1.5,), (1.0,))
RUNGS = {"glance": GLANCE, "measure_quality": QUALITY, "measure_speed": SPEED}


def proposal_of(skill: str = "cache", number: int = 1) -> Proposal:
    return Proposal(number, skill, "easycache", {"threshold": 0.1}, "", 1.0)


def info(device_key: str) -> WorkerInfo:
    return WorkerInfo(
        Model("m", "ltx", "local", "d"),
        Hardware("cpu", "x", 1, 1.0),
        Workload(8, 8, 5, 4, 1.0, 8, 8),
        "pocket",
        device_key,
        0.0,
        {},
    )


@dataclass
class Scripted:
    """Workers that answer by the script; the oldest job ends at each wait.

    Attributes:
        script: By method, the value, or the failure and its reason.
        asked: Every job: method, worker, arguments.
        together: What ran after each start.
        at_once: How many jobs end at each wait.
    """

    infos: dict[int, WorkerInfo]
    script: dict[str, object]
    at_once: int = 1
    asked: list[tuple[str, int, tuple]] = field(default_factory=list)
    together: list[list[str]] = field(default_factory=list)
    running: dict[int, tuple[str, int]] = field(default_factory=dict)
    tickets: Callable[[], int] = field(default_factory=lambda: count(1).__next__)

    def in_service(self):
        return self.infos

    def submit(self, worker, method, *args, limit_s):
        ticket = self.tickets()
        self.running[ticket] = (method, worker)
        self.asked.append((method, worker, args))
        self.together.append([name for name, _ in self.running.values()])
        return ticket

    def wait(self, timeout_s):
        return [self._end(ticket) for ticket in sorted(self.running)[: self.at_once]]

    def _end(self, ticket):
        method, worker = self.running.pop(ticket)
        answer = self.script[method]
        if isinstance(answer, tuple):
            return Done(ticket, worker, failure=answer[0], reason=answer[1])
        return Done(ticket, worker, value=answer)

    @property
    def methods(self) -> list[str]:
        return [method for method, _, _ in self.asked]


def pipeline_of(script=RUNGS, devices=("a",), ladder=True, **options):
    scripted = Scripted({n: info(key) for n, key in enumerate(devices)}, {**RUNGS, **script})
    crew = Crew(scripted, tuple(scripted.infos.values()), patience_s=options.pop("patience_s", 9))
    ticks = count()
    pipeline = Pipeline(
        crew,
        SETTING,
        Ladder(FLOOR) if ladder else None,
        lambda: float(next(ticks)),
        **options,
    )
    return pipeline, scripted


def finish(pipeline: Pipeline, *proposals: Proposal) -> list[tuple[Proposal, Outcome]]:
    """Starts all, and goes on until all have ended."""
    for proposal in proposals:
        pipeline.start(proposal)
    finished = []
    while pipeline.is_busy:
        finished += pipeline.advance()
    return finished


def test_a_trial_goes_from_a_glance_to_the_frames_to_the_clock():
    pipeline, scripted = pipeline_of()
    proposal = proposal_of()
    ((found, outcome),) = finish(pipeline, proposal)
    assert found is proposal
    assert outcome == Outcome("measured", "", QUALITY, SPEED, outcome.seconds, GLANCE)
    assert outcome.seconds > 0
    assert scripted.methods == ["glance", "measure_quality", "measure_speed"]
    glance, quality, speed = (args for _, _, args in scripted.asked)
    assert glance[:2] == (proposal.stack, SETTING.pairs[0])
    assert quality == (proposal.stack, SETTING.pairs, FLOOR)
    assert speed == (proposal.stack, SETTING.pairs[0], SETTING.n_timed)


def test_without_a_ladder_a_trial_begins_with_all_prompts():
    pipeline, scripted = pipeline_of(ladder=False)
    ((_, outcome),) = finish(pipeline, proposal_of())
    assert outcome.status == "measured"
    assert scripted.methods == ["measure_quality", "measure_speed"]


@pytest.mark.parametrize(
    ("glance", "reason"),
    [
        (STRAY, "an update of the latents of 9 times the baseline's"),
        (NOT_FINITE, "not finite after 3 steps of one prompt"),
    ],
)
def test_the_ladder_may_end_a_trial_at_a_glance(glance, reason):
    pipeline, scripted = pipeline_of({"glance": glance})
    ((_, outcome),) = finish(pipeline, proposal_of())
    assert outcome.status == "over_budget"
    assert reason in outcome.reason
    assert outcome.quality is None
    assert scripted.methods == ["glance"]


def test_what_falls_short_is_not_timed():
    pipeline, scripted = pipeline_of({"measure_quality": TOO_BAD})
    ((_, outcome),) = finish(pipeline, proposal_of())
    assert outcome.status == "over_budget"
    assert outcome.reason == "28.0 dB on calibration, 30.0 dB needed"
    assert (outcome.quality, outcome.speed) == (TOO_BAD, None)
    assert "measure_speed" not in scripted.methods


@pytest.mark.parametrize("rung", RUNGS)
@pytest.mark.parametrize(
    ("failure", "status"),
    [
        ("no_effect", "no_effect"),
        ("failed", "failed"),
        ("timeout", "failed"),
    ],
)
def test_a_failure_on_any_rung_ends_the_trial_with_its_reason(rung, failure, status):
    pipeline, scripted = pipeline_of({rung: (failure, "on purpose")})
    ((_, outcome),) = finish(pipeline, proposal_of())
    assert (outcome.status, outcome.reason, outcome.speed) == (status, "on purpose", None)
    assert outcome.quality == (QUALITY if rung == "measure_speed" else None)
    assert scripted.methods[-1] == rung


def test_a_worker_that_is_lost_twice_fails_the_trial():
    pipeline, scripted = pipeline_of({"measure_quality": ("lost", "died")})
    ((_, outcome),) = finish(pipeline, proposal_of())
    assert (outcome.status, outcome.reason) == ("failed", "twice: died")
    assert scripted.methods == ["glance", "measure_quality", "measure_quality"]


def test_a_timing_waits_until_nothing_else_runs_on_its_device():
    pipeline, scripted = pipeline_of(devices=("a", "a", "a"))
    skills = ("cache", "quantization", "kernel_fusion")
    finished = finish(pipeline, *(proposal_of(skill) for skill in skills))
    assert [outcome.status for _, outcome in finished] == ["measured"] * 3
    assert ["glance"] * 3 in scripted.together
    for running in scripted.together:
        assert "measure_speed" not in running or len(running) == 1


def test_two_devices_time_at_once():
    pipeline, scripted = pipeline_of(devices=("a", "b"))
    scripted.at_once = 2
    finish(pipeline, proposal_of("cache"), proposal_of("quantization"))
    assert ["measure_speed", "measure_speed"] in scripted.together


def test_all_rungs_of_a_trial_are_on_one_worker():
    pipeline, scripted = pipeline_of(devices=("a", "b"))
    finish(pipeline, proposal_of("cache"), proposal_of("quantization"))
    by_worker = {n: [m for m, worker, _ in scripted.asked if worker == n] for n in (0, 1)}
    assert by_worker == {0: list(RUNGS), 1: list(RUNGS)}


def test_a_trial_goes_on_elsewhere_when_its_worker_leaves():
    """Both glances end at once; one worker is gone by then, and the other has work of its own."""
    pipeline, scripted = pipeline_of(devices=("a", "b"))
    scripted.at_once = 2
    for skill in ("cache", "quantization"):
        pipeline.start(proposal_of(skill))
    del scripted.infos[0]
    finished = finish(pipeline)
    assert [outcome.status for _, outcome in finished] == ["measured"] * 2
    assert {worker for method, worker, _ in scripted.asked if method != "glance"} == {1}


def test_without_room_a_trial_waits_for_it():
    pipeline, _ = pipeline_of()
    pipeline.start(proposal_of("cache"))
    assert not pipeline.has_room
    assert len(finish(pipeline, proposal_of("quantization"))) == 2


def test_with_no_worker_in_service_there_is_something_to_wait_for():
    pipeline, scripted = pipeline_of(patience_s=0.0)
    worker = scripted.infos.pop(0)
    assert pipeline.is_busy
    assert not pipeline.has_room
    with pytest.raises(SolError, match="add a node and resume"):
        pipeline.advance()
    scripted.infos[0] = worker
    assert not pipeline.is_busy
    assert pipeline.has_room


def test_a_trial_is_under_way_until_its_last_rung():
    pipeline, _ = pipeline_of()
    assert not pipeline.is_busy
    pipeline.start(proposal_of("cache"))
    assert not pipeline.has_room
    for _ in RUNGS:
        assert pipeline.is_busy
        assert pipeline.has_trial_of("cache")
        assert not pipeline.has_trial_of("quantization")
        pipeline.advance()
    assert not pipeline.is_busy
    assert not pipeline.has_trial_of("cache")


def test_the_ladder_learns_from_what_went_all_the_way_and_that_is_told():
    heard = []
    pipeline, scripted = pipeline_of(hear=heard.append)
    for n in range(8):
        error = 0.01 * 2**n
        scripted.script["glance"] = Glance(None, error, 8, 0.9, 1.1, True, 1.0)
        scripted.script["measure_quality"] = Quality(45.0 - 3 * n, 44.0 - 3 * n, 0.9, 1.5, 2)
        finish(pipeline, proposal_of(number=n))
    assert [news["trusted"] for news in heard] == [True]
    scripted.script["glance"] = Glance(None, 5.0, 8, 0.9, 1.1, True, 1.0)
    ((_, outcome),) = finish(pipeline, proposal_of(number=9))
    assert "relative error 5 of the final latents" in outcome.reason


def test_the_answers_of_a_recalled_trial_are_used_up():
    passed = []
    pipeline, scripted = pipeline_of(pass_over=lambda *question: passed.append(question))
    proposal = proposal_of()
    pipeline.recall(proposal, Outcome("measured", "", QUALITY, SPEED, 1.0, GLANCE))
    pipeline.recall(proposal, Outcome("failed", "no room"))
    finish(pipeline, proposal)
    asked = [(method, *args) for method, _, args in scripted.asked]
    assert passed == asked[1:]


def test_the_ladder_learns_from_recalled_trials_as_from_others():
    pipeline, scripted = pipeline_of()
    for n in range(8):
        glance = Glance(None, 0.01 * 2**n, 8, 0.9, 1.1, True, 1.0)
        quality = Quality(45.0 - 3 * n, 44.0 - 3 * n, 0.9, 1.5, 2)
        pipeline.recall(
            proposal_of(number=n), Outcome("measured", "", quality, SPEED, 1.0, glance)
        )
    scripted.script["glance"] = Glance(None, 5.0, 8, 0.9, 1.1, True, 1.0)
    ((_, outcome),) = finish(pipeline, proposal_of(number=9))
    assert "relative error 5 of the final latents" in outcome.reason
