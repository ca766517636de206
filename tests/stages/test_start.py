"""What agents are told before their first trial."""

from __future__ import annotations

from dataclasses import replace

import pytest
from examples import diagnosis_of
from fakes import SPACES, FakeWorker
from sessions import session_of

from sol.stages.start import brief_agents

CALM = diagnosis_of((0.9, 0.1, 0.2, 0.5))


class TinyGainWorker(FakeWorker):
    """text_kv can save next to nothing here."""

    def offers(self, skill, diagnosis, tried):
        offers, obstacles = super().offers(skill, diagnosis, tried)
        bounds = {"text_kv": 1.01}
        return tuple(replace(o, bound=bounds.get(o.technique)) for o in offers), obstacles


@pytest.fixture
def briefed(tmp_path, journal, journal_lines):
    session = session_of(TinyGainWorker, journal, tmp_path, CALM, skills=SPACES)
    brief_agents(session)
    return session.executor, journal_lines()


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
