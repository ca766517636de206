"""Searches on recorded measurements, with no model at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recorded_toy import INFO, stack_of, toy_space

from sol.errors import NoEffectError, SolError
from sol.integrator.composer import Composer
from sol.integrator.cost import shares_of
from sol.search.crew import Crew
from sol.search.executors.inline import InlineExecutor
from sol.search.journal import Journal
from sol.search.orchestrator import Orchestrator, SearchTime
from sol.search.pipeline import Pipeline, TrialSetting
from sol.search.recorded_space import RecordedSpace, key_of
from sol.search.records import Brief, QualityFloor
from sol.search.replay import ReplayWorker
from sol.search.trial_storage import open_memory_store
from sol.skills.registry import TECHNIQUES
from sol.technique import StackItem

FLOOR = QualityFloor(40.0, 30.0)


@pytest.fixture(scope="module")
def space() -> RecordedSpace:
    return toy_space()


def search(space: RecordedSpace, path: Path, seed: int = 0, left_s: float = float("inf")):
    """Sol's own loop until nothing is worth measuring; the worker that it asked."""
    worker = ReplayWorker(space)
    executor = InlineExecutor(make_worker=lambda _: worker)
    infos = executor.start_workers(None)
    composer = Composer(shares_of(space.header.diagnosis), TECHNIQUES, FLOOR)
    for skill, offers in space.header.offers.items():
        executor.start_agent(Brief(skill, offers, 4.0, "", FLOOR, 50, seed, noise=0.02))
        composer.spaces.update(executor.ask_agent(skill, "spaces"))
    setting = TrialSetting(space.header.pairs, FLOOR, 3)
    states = tuple(executor.ask_agent(skill, "state") for skill in space.header.offers)
    with Journal(path, lambda: worker.seconds) as journal:
        Orchestrator(
            executor=executor,
            pipeline=Pipeline(Crew(executor, infos), setting, None, lambda: worker.seconds),
            composer=composer,
            journal=journal,
            store=open_memory_store(),
            time=SearchTime(left_s, lambda: worker.seconds),
            noise=0.02,
        ).run(states)
    return worker, composer


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def searched(space, tmp_path_factory):
    path = tmp_path_factory.mktemp("replay") / "journal.jsonl"
    return *search(space, path), read_lines(path)


def test_the_search_finds_the_fastest_stack_that_holds_without_asking_for_all(space, searched):
    worker, composer, _ = searched
    held = [
        stack
        for stack in space.stacks.values()
        if not stack.failure and FLOOR.find_shortfall(stack.quality) is None
    ]
    best = max(stack.speedup for stack in held)
    assert composer.best.speedup == pytest.approx(best)
    assert len(worker.asked) < len(space.stacks) / 2


def test_no_stack_is_asked_for_twice(searched):
    worker, _, lines = searched
    settings = [line["setting"] for line in lines if line["turn"] == "hypothesise"]
    assert len(settings) == len(set(settings)) == len(worker.asked)
    keys = [key_of(stack.members) for stack in worker.asked]
    assert len(keys) == len(set(keys))


def test_stacks_are_measured_while_the_agents_still_search(searched):
    _, _, lines = searched
    who = [line["agent"] for line in lines if line["turn"] == "hypothesise"]
    assert "integrator" in who
    first_stack = who.index("integrator")
    assert set(who[first_stack:]) > {"integrator"}


def test_the_same_seed_takes_the_same_decisions(space, searched, tmp_path):
    worker, _, lines = searched
    again, _ = search(space, tmp_path / "journal.jsonl")
    assert again.asked == worker.asked
    assert read_lines(tmp_path / "journal.jsonl") == lines


def test_the_recorded_seconds_are_the_clock(space, searched, tmp_path):
    whole, _, _ = searched
    half, _ = search(space, tmp_path / "journal.jsonl", left_s=whole.seconds / 2)
    assert 0 < len(half.asked) < len(whole.asked)
    assert half.asked == whole.asked[: len(half.asked)]


def test_a_stack_that_was_not_recorded_is_an_error_that_names_it(space):
    worker = ReplayWorker(space)
    stack = stack_of(space, text_kv={}, easycache={"threshold": 0.25, "reuse": "ridge"})
    message = r"text_kv \+ easycache was not recorded with these settings"
    with pytest.raises(SolError, match=message):
        worker.measure_quality(stack, space.header.pairs, FLOOR)
    with pytest.raises(SolError, match="rotary_tables was not recorded"):
        worker.measure_speed((StackItem("rotary_tables"),), space.header.pairs[0], 3)
    assert worker.asked == []


def test_a_stack_that_failed_when_it_was_recorded_fails_again(space):
    worker = ReplayWorker(space)
    stack = stack_of(space, int8_dynamic={"layers": "all"}, packed_linear={})
    with pytest.raises(NoEffectError, match="nothing was packed"):
        worker.measure_quality(stack, space.header.pairs, FLOOR)
    assert len(worker.asked) == 1


def test_what_was_recorded_is_answered_and_its_seconds_count(space):
    worker = ReplayWorker(space)
    stack = stack_of(space, easycache={"threshold": 0.4, "reuse": "ridge"})
    quality = worker.measure_quality(stack, space.header.pairs, FLOOR)
    assert quality.counts["easycache"]["calls_skipped"] == 8
    assert worker.seconds == pytest.approx(5.0 + 5.0)
    speed = worker.measure_speed(stack, space.header.pairs[0], 4)
    assert speed.median == pytest.approx(2.0)
    assert speed.n == 4
    assert worker.seconds == pytest.approx(10.0 + 4 * (10.0 + 5.0))
    assert len(worker.asked) == 1


def test_the_target_is_the_recorded_one(space):
    worker, pairs = ReplayWorker(space), space.header.pairs
    assert worker.describe() == INFO
    assert worker.diagnose(pairs) == space.header.diagnosis
    assert worker.make_baseline(pairs) == (10.0, 10.0)
    assert worker.measure_speed((), pairs[0], 3).median == 1.0
    offers, skipped = worker.offers("cache", space.header.diagnosis, None)
    assert offers == space.header.offers["cache"]
    assert skipped == {}
    assert worker.offers("token_pruning", space.header.diagnosis, None) == ((), {})
