"""What agents are told before their first trial."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from example_prompts import diagnosis_of
from fakes import SPACES, FakeWorker
from sessions import session_of

from sol.recipe import Member, dump_recipe, load_recipe
from sol.stages.start import prepare_search

SHIPPED = Path(__file__).parents[2] / "recipes" / "pocket" / "cpu-amd-epyc.yaml"
CALM = diagnosis_of((0.9, 0.1, 0.2, 0.5))


class TinyGainWorker(FakeWorker):
    """text_kv can save next to nothing here."""

    bound = 1.01

    def offers(self, skill, diagnosis, tried):
        offers, obstacles = super().offers(skill, diagnosis, tried)
        bounds = {"text_kv": self.bound}
        return tuple(replace(o, bound=bounds.get(o.technique)) for o in offers), obstacles


class BoundedWorker(TinyGainWorker):
    """text_kv can save half of the time here."""

    bound = 2.0


@pytest.fixture
def briefed(tmp_path, journal, journal_lines):
    session = session_of(TinyGainWorker, journal, tmp_path, CALM, skills=SPACES)
    prepare_search(session)
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


def test_bounds_and_what_is_not_tried_are_journalled_before_the_first_trial(briefed):
    lines = {line["turn"]: line for line in briefed[1]}
    shown = lines["bounds"]
    assert shown["bounds"] == {"cache": 10.0, "quantization": 2.5}
    assert shown["because"]["cache"] == "no denoiser call at all"
    assert shown["not_tried"] == {
        "other": "it needs what is not there",
        "text_kv": "its bound 1.01x is inside the timing noise of 3%",
    }
    assert "hypothesise" not in lines


def test_the_page_is_there_before_the_first_trial(briefed, tmp_path):
    page = (tmp_path / "diagnosis.html").read_text(encoding="utf-8")
    (line,) = [line for line in briefed[1] if line["turn"] == "page"]
    assert line["path"] == str(tmp_path / "diagnosis.html")
    assert "no denoiser call at all" in page
    assert "it needs what is not there" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_the_prospects_are_those_of_all_skills(tmp_path, journal):
    session = session_of(BoundedWorker, journal, tmp_path, CALM, skills=SPACES)
    prospects = prepare_search(session).prospects
    assert {bound.skill for bound in prospects.bounds} == set(SPACES)
    assert [(item.technique, item.bound) for item in prospects.techniques] == [("text_kv", 2.0)]
    assert sum(share.seconds for share in prospects.times) == pytest.approx(CALM.total_s)
    assert {item.technique for item in prospects.not_tried} == {"other"}


def test_what_was_accepted_elsewhere_is_the_first_trial(tmp_path, journal):
    session = session_of(FakeWorker, journal, tmp_path / "runs" / "new", CALM, skills=["cache"])
    earlier = tmp_path / "runs" / "earlier"
    for folder in (earlier, session.request.folder):
        folder.mkdir(parents=True)
    recipe = load_recipe(SHIPPED)
    member = Member("easycache", "cache", {"threshold": 0.25})
    (earlier / "recipe.yaml").write_text(dump_recipe(replace(recipe, stack=(member,))))
    prepare_search(session)
    proposals = [session.executor.ask_agent("cache", "hypothesise") for _ in range(3)]
    thresholds = [p.config["threshold"] for p in proposals if p.technique == "easycache"]
    assert thresholds == [0.25, 0.1]
