"""What a member of a stack adds is measured by leaving it out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from fakes import FakeWorker

from sol.measure.stats import Interval
from sol.search.crew import Crew
from sol.search.executors.inline import InlineExecutor
from sol.search.records import Quality, Speed
from sol.search.worker import WorkerPlan
from sol.stages.contributions import divide, measure_contributions
from sol.technique import StackItem

EASY = StackItem("easycache", {"threshold": 0.5})
SMALL = StackItem("step_mask", {"threshold": 0.01})
DYING = StackItem("int8_dynamic", {"layers": "all"})


class WholeStackWorker(FakeWorker):
    """Quality falls with all thresholds; what a stack gains is their sum."""

    def measure_quality(self, stack: Any, pairs: Any, floor: Any) -> Quality:
        if DYING in stack:
            raise MemoryError("no room for all layers")
        psnr = 45.0 - 20.0 * sum(item.config["threshold"] for item in stack)
        assert psnr > floor.worst_psnr
        return Quality(psnr, psnr, 0.9, self._speed(stack), len(pairs))


@pytest.fixture
def session(tmp_path, journal):
    """What is read of a session: no gate is in it."""
    executor = InlineExecutor(make_worker=WholeStackWorker)
    infos = executor.start_workers(WorkerPlan("fake", None, None, {}, tmp_path))
    return SimpleNamespace(
        crew=Crew(executor, infos),
        journal=journal,
        calibration=(("a", 0), ("b", 1)),
        noise=0.03,
        request=SimpleNamespace(budget=SimpleNamespace(trial_pairs=3)),
    )


def winner(*stack, speedup=1.51, psnr=34.8):
    speed = Speed(speedup, speedup - 0.05, speedup + 0.05, 3, (1.0,), (1.0 / speedup,))
    quality = Quality(psnr, psnr, 0.9, speedup, 2)
    candidate = SimpleNamespace(stack=stack, label="stack")
    return SimpleNamespace(
        measured=SimpleNamespace(candidate=candidate, speed=speed, quality=quality)
    )


def test_each_member_is_left_out_in_turn(session):
    easy, small = measure_contributions(session, winner(EASY, SMALL))
    assert (easy.technique, small.technique) == ("easycache", "step_mask")
    assert easy.speedup_without.median == pytest.approx(1.01)
    assert easy.adds.median == pytest.approx(1.51 / 1.01)
    assert easy.psnr_without == pytest.approx(44.8)
    assert easy.psnr_with == 34.8
    assert small.speedup_without.median == pytest.approx(1.5)


def test_what_cannot_be_told_from_nothing_is_noise(session):
    easy, small = measure_contributions(session, winner(EASY, SMALL))
    assert not easy.is_noise
    assert small.is_noise


def test_what_cannot_be_measured_says_why(session, journal_lines):
    lost, found = measure_contributions(session, winner(EASY, DYING))
    assert "no room for all layers" in lost.reason
    assert lost.adds is None
    assert found.reason == ""
    told = [(line["turn"], line["technique"]) for line in journal_lines()]
    assert told == [("cannot_leave_out", "easycache"), ("leave_out", "int8_dynamic")]


def test_one_member_is_the_stack(session):
    assert measure_contributions(session, winner(EASY)) == ()


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
