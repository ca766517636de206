"""What agents are told before their first trial."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from examples import diagnosis_of
from fakes import SPACES, FakeWorker

from sol.search.budget import Budget
from sol.search.crew import Crew
from sol.search.executors.inline import InlineExecutor
from sol.search.journal import Journal
from sol.search.records import Speed
from sol.search.worker import WorkerPlan
from sol.stages.request import Session, TuneRequest
from sol.stages.start import brief_agents
from sol.target import Target
from sol.validator.profile import load_profile

CALM = diagnosis_of((0.9, 0.1, 0.2, 0.5))


class TinyGainWorker(FakeWorker):
    """text_kv can save next to nothing here."""

    def offers(self, skill, diagnosis, best_rivals):
        offers, obstacles = super().offers(skill, diagnosis, best_rivals)
        bounds = {"text_kv": 1.01}
        return tuple(replace(o, bound=bounds.get(o.technique)) for o in offers), obstacles


@pytest.fixture
def briefed(tmp_path):
    executor = InlineExecutor(make_worker=TinyGainWorker)
    infos = executor.start_workers(WorkerPlan("fake", None, None, {}, tmp_path))
    request = TuneRequest(
        "fake", None, None, {}, Budget("t", 1.0, 5, 2, 3, 4, 3),
        load_profile("near-lossless"), tuple(SPACES), 0, tmp_path,
    )  # fmt: skip
    target = Target(infos[0].model, infos[0].hardware, infos[0].workload)
    noise = Speed(1.0, 0.97, 1.03, 3, (1.0,), (1.0,))
    with Journal(tmp_path / "journal.jsonl", lambda: 0.0) as journal:
        session = Session(
            request, executor, Crew(executor, infos), journal, infos, target, (), (), CALM, noise
        )
        brief_agents(session)
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    return executor, lines


def test_the_safe_steps_are_posted_and_the_other_agents_know_them(briefed):
    executor, lines = briefed
    (posted,) = [line for line in lines if line["turn"] == "post"]
    assert posted["agent"] == "cache"
    assert posted["data"] == {"safe_steps": "2-3"}
    assert "steps 2-3 change least" in executor.ask_agent("quantization", "hypothesise").known
    assert executor.ask_agent("cache", "hypothesise").known == ""


def test_a_technique_inside_the_noise_is_journalled_as_an_obstacle(briefed):
    executor, lines = briefed
    observed = next(line for line in lines if line["turn"] == "observe")
    assert observed["techniques"] == ["easycache"]
    assert observed["not_applicable"] == {
        "other": "it needs what is not there",
        "text_kv": "its bound 1.01x is inside the timing noise of 3%",
    }
    assert executor.ask_agent("cache", "hypothesise").technique == "easycache"
