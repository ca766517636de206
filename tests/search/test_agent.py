"""What one agent decides, on outcomes that are a known function of the setting."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import CLIFF

from sol.search.agent import SkillAgent
from sol.search.cliff import MARGIN
from sol.search.records import (
    Brief,
    Finding,
    Offer,
    Outcome,
    Proposal,
    Quality,
    QualityFloor,
    Speed,
)
from sol.space import Float, Int, Ranked, Space

FLOOR = QualityFloor(30.0, 20.0)
LOW, HIGH = 0.0, 1.0
THRESHOLD = Space({"threshold": Float(LOW, HIGH, bolder="up")}, ({"threshold": 0.1},))


def brief(*offers: Offer, bound: float = 4.0, noise: float = 0.02, max_trials: int = 30) -> Brief:
    return Brief("cache", offers, bound, "because", FLOOR, max_trials, seed=0, noise=noise)


def held(speedup: float) -> Outcome:
    speed = Speed(speedup, speedup, speedup, 3, (1.0,), (1.0 / speedup,))
    return Outcome("measured", "", Quality(45.0, 45.0, 1.0, speedup, 2), speed)


FAILED = Outcome("over_budget", "12 dB", Quality(12.0, 12.0, 0.5, 2.0, 1))


def search(agent: SkillAgent, outcome_of) -> tuple[list[Proposal], list[Finding]]:
    """Runs the agent until it stops; its proposals and what it posted."""
    proposals: list[Proposal] = []
    findings: list[Finding] = []
    while (proposal := agent.hypothesise()) is not None:
        proposals.append(proposal)
        findings += agent.reflect(proposal, outcome_of(proposal.config))
    return proposals, findings


def over_the_cliff(config) -> Outcome:
    threshold = config["threshold"]
    return held(1 + threshold) if threshold <= CLIFF else FAILED


@pytest.fixture
def searched():
    agent = SkillAgent(brief(Offer("easycache", THRESHOLD, "lossy")))
    return agent, *search(agent, over_the_cliff)


def test_the_search_closes_in_on_the_cliff_to_a_margin(searched):
    agent, proposals, _ = searched
    tried = [p.config["threshold"] for p in proposals]
    best = max(t for t in tried if t <= CLIFF)
    worst = min(t for t in tried if t > CLIFF)
    assert worst - best <= MARGIN * (HIGH - LOW) + 1e-9
    (edge,) = agent.edges()
    assert (edge.held, edge.failed) == ({"threshold": best}, {"threshold": worst})


def test_a_setting_on_the_edge_is_never_offered_and_a_safe_one_nearby_is(searched):
    agent, proposals, _ = searched
    failures = [p.config["threshold"] for p in proposals if p.config["threshold"] > CLIFF]
    offered = [point.proposal.config["threshold"] for point in agent.frontier()]
    assert max(offered) < min(failures) - MARGIN
    assert max(offered) > CLIFF - 2 * MARGIN


def test_what_is_offered_below_the_edge_is_guarded_by_a_bolder_setting_that_held(searched):
    best = searched[0].frontier()[0]
    assert best.proposal.config["threshold"] < best.guard["threshold"] <= CLIFF


def test_the_edge_is_posted(searched):
    _, _, findings = searched
    posted = [f for f in findings if f.speedup is None]
    assert posted
    assert "edge of quality: threshold " in posted[-1].text
    assert "of the range away" in posted[-1].text


def test_it_takes_few_trials_to_find_a_cliff_between_two_settings():
    space = Space({"threshold": Float(LOW, HIGH, bolder="up")}, tuple(
        {"threshold": t} for t in (0.1, 0.8)
    ))  # fmt: skip
    agent = SkillAgent(brief(Offer("easycache", space, "lossy"), max_trials=8))
    search(agent, over_the_cliff)
    assert agent.edges()[0].is_closed
    assert agent.frontier()[0].proposal.config["threshold"] > CLIFF - 2 * MARGIN


@pytest.mark.parametrize(
    "knob", [Ranked(("a", "b", "c", "d", "e", "f", "g", "h")), Int(0, 7, bolder="up")]
)
def test_a_knob_that_moves_in_units_keeps_one_unit_from_what_fails(knob):
    options = knob.options if isinstance(knob, Ranked) else tuple(range(8))
    space = Space({"level": knob}, ({"level": options[1]}, {"level": options[6]}))
    agent = SkillAgent(brief(Offer("step_mask", space, "lossy")))
    proposals, _ = search(
        agent,
        lambda c: held(1 + options.index(c["level"])) if c["level"] <= options[4] else FAILED,
    )
    assert options[5] in [p.config["level"] for p in proposals]
    assert agent.frontier()[0].proposal.config == {"level": options[3]}


def test_a_technique_that_holds_everywhere_has_no_edge():
    agent = SkillAgent(brief(Offer("easycache", THRESHOLD, "lossy")))
    search(agent, lambda c: held(1 + c["threshold"]))
    assert agent.edges() == ()
    assert agent.frontier()[0].guard is None


def test_fixed_settings_are_in_every_config_and_in_no_label():
    table = tuple(float(i) for i in range(24))
    space = Space(
        {"level": Ranked(("low", "high")), "share": Ranked((0.123456, 0.654321))},
        ({"level": "low", "share": 0.123456},),
        {"table": table},
    )
    agent = SkillAgent(brief(Offer("magcache", space, "lossy")))
    proposals, _ = search(agent, lambda _: held(1.5))
    assert len(proposals) == 4
    assert all(p.config["table"] == table for p in proposals)
    assert {p.config["share"] for p in proposals} == {0.123456, 0.654321}
    assert proposals[0].label == "magcache level=low share=0.123456"


def test_first_settings_take_turns_in_the_order_of_their_bounds():
    def offer(name: str, bound: float | None, n: int) -> Offer:
        space = Space({"level": Int(1, 9, bolder="up")}, tuple({"level": i + 1} for i in range(n)))
        return Offer(name, space, "lossy", bound)

    agent = SkillAgent(brief(offer("b", 2.0, 3), offer("c", 1.5, 1), offer("a", None, 2), bound=3))
    firsts = [agent.hypothesise() for _ in range(5)]
    assert [(p.technique, p.config["level"]) for p in firsts] == [
        ("a", 1), ("b", 1), ("c", 1), ("a", 2), ("b", 2)
    ]  # fmt: skip
    assert all(p.hypothesis.startswith("first setting") for p in firsts)


def test_a_technique_whose_bound_is_inside_the_noise_is_not_tried_and_the_reason_is_said():
    tiny = Offer("text_kv", Space(first=({},)), "exact", 1.01)
    agent = SkillAgent(brief(tiny, Offer("easycache", THRESHOLD, "lossy"), max_trials=6))
    assert agent.obstacles() == {"text_kv": "its bound 1.01x is inside the timing noise of 2%"}
    proposals, _ = search(agent, over_the_cliff)
    assert {p.technique for p in proposals} == {"easycache"}


def test_an_agent_with_nothing_but_hopeless_techniques_is_done_at_once():
    agent = SkillAgent(brief(Offer("text_kv", Space(first=({},)), "exact", 1.01)))
    assert agent.state().exhausted
    assert agent.hypothesise() is None


def test_both_kinds_of_finding_are_understood():
    agent = SkillAgent(brief(Offer("easycache", THRESHOLD, "lossy")))
    agent.observe(Finding("quantization", "layers matter", {"layers": "all"}))
    assert agent.hypothesise().known == "quantization: layers matter"
    agent.observe(Finding("kernel_fusion", "1.20x", {"speedup": 1.2}, 1.2))
    agent.observe(Finding("quantization", "1.10x", {"speedup": 1.1}, 1.1))
    agent.observe(Finding("quantization", "steps 3-5", {"safe_steps": "3-5"}))
    assert agent.hypothesise().known == "kernel_fusion: 1.20x"


def test_the_expected_speedup_stays_within_the_technique_own_bound():
    agent = SkillAgent(brief(Offer("easycache", THRESHOLD, "lossy", 1.2)))
    agent.reflect(agent.hypothesise(), held(3.0))
    assert agent.hypothesise().expected_speedup == 1.2


def caches(*offers: Offer) -> SkillAgent:
    return SkillAgent(brief(*offers, bound=4.0))


def level_offer(name: str, exactness: str = "lossy", bound: float | None = None) -> Offer:
    return Offer(name, Space({"level": Int(1, 9, bolder="up")}, ({"level": 5},)), exactness, bound)


def test_what_leads_goes_on_before_another_that_would_have_to_beat_it():
    agent = caches(level_offer("planned"), level_offer("easycache"))
    first = agent.hypothesise()
    agent.reflect(first, held(1.8))
    assert first.technique == "planned"
    assert agent.hypothesise().technique == "planned"


def test_what_was_never_tried_gets_its_turn_once_the_leader_stands_still():
    agent = caches(level_offer("planned"), level_offer("easycache"))
    agent.reflect(agent.hypothesise(), held(1.8))
    for _ in range(8):
        proposal = agent.hypothesise()
        agent.reflect(proposal, held(1.8))
        if proposal.technique == "easycache":
            return
    pytest.fail("easycache starved")


def test_what_a_recipe_recommends_is_tried_before_anything_else():
    other = level_offer("easycache", bound=1.1)
    recommended = replace(
        other, space=replace(other.space, first=({"level": 3}, {"level": 5})), origins=("a.yaml",)
    )
    agent = caches(level_offer("planned"), recommended)
    first = agent.hypothesise()
    assert (first.technique, first.config["level"]) == ("easycache", 3)
    agent.reflect(first, held(1.01))
    assert agent.hypothesise().technique == "planned"


def test_an_exact_technique_has_nothing_to_beat():
    """What it gains comes on top: it is tried before a lossy one that spends what is spent."""
    exact, lossy = level_offer("text_kv", "exact", 1.2), level_offer("easycache")
    agent = caches(level_offer("planned"), lossy, exact)
    agent.reflect(agent.hypothesise(), held(2.2))
    tried = []
    for _ in range(12):
        proposal = agent.hypothesise()
        agent.reflect(proposal, held(1.05))
        tried.append(proposal.technique)
    assert tried.index("text_kv") < tried.index("easycache")


def test_settings_that_can_be_counted_run_out():
    agent = caches(Offer("text_kv", Space({}, ({},)), "exact", 1.3))
    before = agent.state().expected_gain
    agent.reflect(agent.hypothesise(), held(1.2))
    assert before > 0
    assert agent.state().expected_gain == 0.0
