"""Rivals are run on the calibration pairs, and the best of each group makes the space."""

import json

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
from sol.stages.rivals import choose_rivals
from sol.stages.start import brief_agents
from sol.target import Target
from sol.validator.profile import load_profile

GROUPS = (({"skip": "3"}, {"skip": "4"}, {"skip": "5"}), ({"skip": "3-4"}, {"skip": "4-5"}))
ERRORS = {"3": 0.3, "4": 0.1, "5": 0.2, "3-4": 0.4, "4-5": 0.5}


class RivalWorker(FakeWorker):
    """easycache wants its groups run; the error of each config is known."""

    pairs = ()
    seen = None

    def rivals(self, skill, diagnosis):
        return {"easycache": GROUPS, "text_kv": ()} if skill == "cache" else {}

    def latent_errors(self, technique, configs, pairs):
        assert technique == "easycache"
        type(self).pairs = pairs
        return tuple(ERRORS[config["skip"]] for config in configs)

    def offers(self, skill, diagnosis, best_rivals):
        if skill == "cache":
            type(self).seen = best_rivals
        return super().offers(skill, diagnosis, best_rivals)


class BrokenWorker(RivalWorker):
    def latent_errors(self, technique, configs, pairs):
        raise RuntimeError("out of memory")


@pytest.fixture
def make_session(tmp_path):
    with Journal(tmp_path / "journal.jsonl", lambda: 0.0) as journal:
        yield lambda worker: session_of(worker, journal, tmp_path)


def session_of(worker, journal, tmp_path):
    executor = InlineExecutor(make_worker=worker)
    infos = executor.start_workers(WorkerPlan("fake", None, None, {}, tmp_path))
    request = TuneRequest(
        "fake", None, None, {}, Budget("t", 1.0, 5, 2, 3, 4, 3),
        load_profile("near-lossless"), tuple(SPACES), 0, tmp_path,
    )  # fmt: skip
    target = Target(infos[0].model, infos[0].hardware, infos[0].workload)
    noise = Speed(1.0, 0.97, 1.03, 3, (1.0,), (1.0,))
    pairs = tuple((f"prompt {n}", n) for n in range(4))
    return Session(
        request, executor, Crew(executor, infos), journal, infos, target, pairs, (),
        diagnosis_of((0.1,)), noise,
    )  # fmt: skip


def test_the_best_of_each_group_is_kept_in_order(make_session, tmp_path):
    session = make_session(RivalWorker)
    assert choose_rivals(session, "cache") == {"easycache": ({"skip": "4"}, {"skip": "3-4"})}
    assert RivalWorker.pairs == session.calibration
    assert choose_rivals(session, "quantization") == {}
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    (planned,) = [line for line in lines if line["turn"] == "plan"]
    assert (planned["groups"], planned["configs"]) == (2, 5)


def test_a_group_that_cannot_be_run_keeps_its_first(make_session):
    session = make_session(BrokenWorker)
    assert choose_rivals(session, "cache") == {"easycache": ({"skip": "3"}, {"skip": "3-4"})}


def test_the_space_is_made_from_the_best(make_session):
    brief_agents(make_session(RivalWorker))
    assert RivalWorker.seen == {"easycache": ({"skip": "4"}, {"skip": "3-4"})}
