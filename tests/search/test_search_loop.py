"""The loop between agents and workers, on a worker without a model."""

from __future__ import annotations

import json
from itertools import count

import pytest
from fakes import SPACES, FakeWorker

from sol.search.agent import SkillAgent
from sol.search.budget import Budget
from sol.search.crew import Crew
from sol.search.executors.inline import InlineExecutor
from sol.search.journal import Journal
from sol.search.orchestrator import Orchestrator, expected_gain
from sol.search.records import Brief, Quality, QualityFloor
from sol.search.worker import WorkerPlan

BUDGET = Budget("test", 1e6, 12, 2, 3, 2, 3)
MIN_PSNR = 28.0
FLOOR = QualityFloor(MIN_PSNR, 20.0)


def brief(skill: str, bound: float = 3.0, max_trials: int = 12) -> Brief:
    return Brief(skill, SPACES[skill], bound, "because", FLOOR, max_trials, seed=0)


def run(tmp_path, bounds=None, budget=BUDGET, clock=None):
    executor = InlineExecutor(make_worker=FakeWorker)
    infos = executor.start_workers(WorkerPlan("fake", None, None, {}, tmp_path))
    states = []
    for skill in SPACES:
        executor.start_agent(brief(skill, (bounds or {}).get(skill, 3.0)))
        states.append(executor.ask_agent(skill, "state"))
    ticks = count()
    clock = clock or (lambda: float(next(ticks)))
    with Journal(tmp_path / "journal.jsonl", clock) as journal:
        orchestrator = Orchestrator(
            executor, Crew(executor, infos), journal, budget, (("a", 0), ("b", 1)), FLOOR,
            noise=0.02, clock=clock,
        )  # fmt: skip
        records = orchestrator.run(tuple(states))
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    return records, lines


def test_every_outcome_is_recorded_with_its_reason(tmp_path):
    records, _ = run(tmp_path)
    outcomes = {(p.technique, o.status) for record in records.values() for p, o in record.trials}
    assert ("easycache", "measured") in outcomes
    assert ("easycache", "over_budget") in outcomes
    assert ("text_kv", "no_effect") in outcomes
    assert ("int8_dynamic", "failed") in outcomes
    failed = [o for r in records.values() for _, o in r.trials if o.status == "failed"]
    assert all("no room for all layers" in o.reason for o in failed)


def test_the_search_finds_the_fastest_setting_within_the_quality_budget(tmp_path):
    records, _ = run(tmp_path)
    best = records["cache"].frontier[0]
    # 40 - 30 t >= 28 allows t up to 0.4; the speed-up is 1 + t.
    assert best.quality.psnr >= MIN_PSNR
    assert 1.25 <= best.speed.median <= 1.4


def test_a_setting_as_bold_as_a_failure_is_not_proposed_again(tmp_path):
    records, _ = run(tmp_path)
    failed: list[float] = []
    for proposal, outcome in records["cache"].trials:
        if proposal.technique == "easycache":
            threshold = proposal.config["threshold"]
            assert all(threshold < bad for bad in failed)
            if outcome.status == "over_budget":
                failed.append(threshold)
    assert failed


def test_no_setting_is_measured_twice(tmp_path):
    records, _ = run(tmp_path)
    for record in records.values():
        settings = [(p.technique, repr(p.config)) for p, _ in record.trials]
        assert len(settings) == len(set(settings))


def test_the_same_seed_takes_the_same_decisions(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, _ = run(tmp_path / "a")
    second, _ = run(tmp_path / "b")
    for skill in first:
        assert [p for p, _ in first[skill].trials] == [p for p, _ in second[skill].trials]


def test_an_agent_whose_bound_is_inside_the_noise_is_retired_and_told(tmp_path):
    records, lines = run(tmp_path, bounds={"quantization": 1.01})
    assert records["quantization"].trials == []
    retired = [line for line in lines if line["turn"] == "retire"]
    assert "inside the timing noise" in retired[0]["reason"]


def test_the_search_stops_when_its_time_is_up(tmp_path):
    budget = Budget("short", 12.0, 1000, 2, 3, 2, 3)
    records, lines = run(tmp_path, budget=budget)
    assert sum(len(r.trials) for r in records.values()) < 12
    assert any(line.get("reason") == "time is up" for line in lines)


def test_what_follows_the_search_learns_where_quality_ends_and_what_could_be_chosen(tmp_path):
    records, lines = run(tmp_path)
    (edge,) = records["cache"].edges
    assert edge.technique == "easycache"
    assert edge.held["threshold"] <= 0.4 < edge.failed["threshold"]
    assert dict(records["cache"].spaces) == {o.technique: o.space for o in SPACES["cache"]}
    posts = [line["finding"] for line in lines if line["turn"] == "post"]
    assert any("edge of quality" in text for text in posts)


def test_every_turn_of_an_agent_is_in_the_journal(tmp_path):
    records, lines = run(tmp_path)
    turns = [line["turn"] for line in lines if line["agent"] == "cache"]
    n_trials = len(records["cache"].trials)
    assert turns.count("hypothesise") == turns.count("reflect") == n_trials
    assert "post" in turns
    assert all(line["reason"] for line in lines if line["turn"] == "hypothesise")


def test_what_one_agent_posts_the_other_takes_up(tmp_path):
    _, lines = run(tmp_path)
    posted = [line["finding"] for line in lines if line["turn"] == "post"]
    known = [line["known"] for line in lines if line["turn"] == "hypothesise"]
    assert any(text.endswith(finding) for finding in posted for text in known)


@pytest.mark.parametrize(
    ("psnr", "worst", "shortfall"),
    [
        (30.0, 25.0, None),
        (28.0, 20.0, None),
        (27.9, 25.0, "27.9 dB on calibration, 28.0 dB needed"),
        (30.0, 19.9, "a video of 19.9 dB, 20.0 dB needed"),
    ],
)
def test_the_floor_holds_for_the_mean_and_for_every_video(psnr, worst, shortfall):
    quality = Quality(psnr, worst, 0.9, 1.0, 2)
    assert FLOOR.find_shortfall(quality) == shortfall
    assert (FLOOR.margin_of(quality) < 0) == (shortfall is not None)


def test_expected_gain_falls_with_every_trial_that_brought_nothing():
    agent = SkillAgent(brief("quantization"))
    before = expected_gain(agent.state())
    proposal = agent.hypothesise()
    from sol.search.records import Outcome

    agent.reflect(proposal, Outcome("failed", "no"))
    assert 0 < expected_gain(agent.state()) < before


def test_an_agent_stops_at_its_number_of_trials():
    agent = SkillAgent(brief("cache", max_trials=1))
    assert agent.hypothesise() is not None
    assert agent.hypothesise() is None
    assert agent.state().exhausted


@pytest.mark.parametrize("offers", [()])
def test_an_agent_without_techniques_has_nothing_to_say(offers):
    agent = SkillAgent(Brief("cache", offers, 2.0, "", FLOOR, 5, 0))
    assert agent.hypothesise() is None
    assert agent.frontier() == ()
