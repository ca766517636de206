"""A stack whose bolder neighbour falls does not reach the gate; a gentler one does."""

from __future__ import annotations

from typing import Any

import pytest
from example_prompts import DIAGNOSIS
from fakes import CliffWorker
from searches import search_of
from sessions import JudgedWorker, session_of

from sol.integrator.compose import Candidate
from sol.integrator.cost import shares_of
from sol.integrator.effects import effect_of
from sol.integrator.prediction import StackModel
from sol.search.records import FrontierPoint, Proposal, Quality, Speed
from sol.skills.registry import TECHNIQUES
from sol.space import Choice as AnyOf
from sol.space import Float, Ranked, Space
from sol.stages.choose import Choice, choose_stack
from sol.stages.edge import NO_EDGE, bolder_neighbour, check_edge
from sol.stages.recipe import make_recipe
from sol.stages.report import make_report
from sol.validator.report.model import to_json
from sol.validator.report.page import render_html

SPACES = {
    "easycache": Space({"threshold": Float(0.0, 1.0, bolder="up")}),
    "step_mask": Space({"skip": Ranked(("2", "2,4", "2,4,6"))}),
    "int8_dynamic": Space({"layers": AnyOf(("all", "feed_forward"))}),
    "text_kv": Space(),
}
SAFE, ON_EDGE = 0.2, 0.28


class EdgeWorker(CliffWorker, JudgedWorker):
    """Quality ends at CLIFF; the gate finds nothing wrong with any stack."""

    def measure_quality(self, stack: Any, pairs: Any, floor: Any) -> Quality:
        if any(item.config.get("threshold", 0.0) > 0.9 for item in stack):
            raise MemoryError("no room")
        psnr = min(self._psnr(item) for item in stack)
        return Quality(psnr, psnr, 0.9, self._speed(stack), len(pairs))


@pytest.fixture
def session(tmp_path, journal):
    return session_of(EdgeWorker, journal, tmp_path, DIAGNOSIS)


def point(technique: str, **config: Any) -> FrontierPoint:
    speedup = 1.0 + float(config.get("threshold", 0.1))
    return FrontierPoint(
        Proposal(1, "cache", technique, config, "", 1.0, knobs=tuple(config)),
        Quality(45.0, 45.0, 0.9, speedup, 2),
        Speed(speedup, speedup, speedup, 3, (1.0,), (1.0 / speedup,)),
    )


def candidate(*points: FrontierPoint) -> Candidate:
    effects = tuple(effect_of(p.proposal, p.quality, p.speed) for p in points)
    model = StackModel(shares_of(DIAGNOSIS), TECHNIQUES)
    return Candidate(effects, model.predict(effects))


def choose(session, *points: FrontierPoint, spaces=SPACES) -> Choice:
    return choose_stack(session, search_of(session, *points, spaces=spaces))


def test_a_planted_stack_on_the_edge_is_found_and_says_where_it_falls(session):
    check = check_edge(session, candidate(point("easycache", threshold=ON_EDGE)), SPACES)
    assert check.has_fallen
    assert check.text.startswith("on the edge: easycache threshold 0.28 -> 0.33 falls to 12.0 dB")
    assert (check.psnr, check.floor_psnr, check.n) == (12.0, 30.0, 2)


def test_a_safe_stack_is_not_on_the_edge(session):
    check = check_edge(session, candidate(point("easycache", threshold=SAFE)), SPACES)
    assert not check.has_fallen
    assert check.text == "bolder neighbour easycache threshold 0.2 -> 0.25 holds 45.0 dB"
    assert check.psnr == 45.0


def test_a_neighbour_that_cannot_be_measured_counts_as_fallen(session):
    check = check_edge(session, candidate(point("easycache", threshold=0.88)), SPACES)
    assert check.has_fallen
    assert "cannot be measured: MemoryError: no room" in check.text
    assert check.psnr is None


def test_all_lossy_members_move_at_once_and_no_others():
    stack = candidate(
        point("text_kv"),
        point("int8_dynamic", layers="all"),
        point("step_mask", skip="2,4"),
        point("easycache", threshold=0.1),
    ).stack
    moved = bolder_neighbour(stack, SPACES)
    assert [dict(item.config) for item in moved] == [
        {}, {"layers": "all"}, {"skip": "2,4,6"}, {"threshold": 0.15}
    ]  # fmt: skip


@pytest.mark.parametrize(
    "points",
    [
        (point("text_kv"),),
        (point("int8_dynamic", layers="all"),),
        (point("step_mask", skip="2,4,6"), point("int8_dynamic", layers="all")),
    ],
)
def test_where_nothing_can_move_there_is_no_edge_and_nothing_is_measured(session, points):
    check = check_edge(session, candidate(*points), SPACES)
    assert not check.has_fallen
    assert (check.text, check.psnr, check.n) == (NO_EDGE, None, 0)


def test_the_next_stack_follows_one_on_the_edge(session):
    points = (point("easycache", threshold=ON_EDGE), point("easycache", threshold=SAFE))
    choice = choose(session, *points)
    measured, judged = choice.measured, choice.judged
    assert [j.measured.candidate.stack[0].config["threshold"] for j in judged] == [SAFE]
    assert judged[-1].is_accepted
    fallen = next(m for m in measured if m.edge and m.edge.has_fallen)
    assert fallen.candidate.stack[0].config["threshold"] == ON_EDGE
    assert fallen.reason.startswith("on the edge: ")
    assert not fallen.is_eligible


def test_what_holds_the_loss_of_a_stack_on_the_edge_is_not_looked_at_again(session, journal_lines):
    points = (point("easycache", threshold=ON_EDGE), point("text_kv"))
    choice = choose(session, *points)
    measured, judged = choice.measured, choice.judged
    looks = [line for line in journal_lines() if line["agent"] == "edge"]
    assert len([look for look in looks if look["fallen"]]) == 1
    assert [j.measured.candidate.label for j in judged] == ["text_kv"]
    assert any(m.reason.startswith("on the edge") for m in measured)


def test_the_recipe_and_the_report_say_how_far_it_stands_from_the_edge(session):
    points = (point("easycache", threshold=ON_EDGE), point("easycache", threshold=SAFE))
    choice = choose(session, *points)
    measured, judged = choice.measured, tuple(choice.judged)
    quality = {check.name: check for check in make_recipe(session, judged[-1]).evidence.quality}
    edge = quality["edge_psnr"]
    assert (edge.value, edge.bound, edge.margin, edge.n) == (45.0, 45.0, 30.0, 2)
    report = make_report(session, {}, measured, judged)
    edges = {stack["label"]: stack["edge"] for stack in to_json(report)["stacks"]}
    assert edges["easycache threshold=0.2"].startswith("bolder neighbour")
    assert edges["easycache threshold=0.28"].startswith("on the edge")
    page = render_html(report, {})
    assert "Edge of quality: bolder neighbour easycache threshold 0.2" in page
    assert "on the edge: easycache threshold 0.28" in page


def test_a_recipe_without_an_edge_says_that_nothing_was_measured(session):
    judged = choose(session, point("text_kv")).judged
    quality = {check.name: check for check in make_recipe(session, judged[-1]).evidence.quality}
    edge = quality["edge_psnr"]
    assert (edge.value, edge.bound, edge.margin, edge.n) == (None, None, None, 0)


def test_nothing_but_the_look_over_the_edge_keeps_the_planted_stack_out(session):
    judged = choose(
        session, point("easycache", threshold=ON_EDGE), spaces={"easycache": Space()}
    ).judged
    assert judged[-1].is_accepted
