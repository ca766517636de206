"""An agent that takes over from one that is gone decides as that one would have."""

from __future__ import annotations

import json

import pytest
from fakes import CLIFF

from sol.search.agent import SkillAgent
from sol.search.plain_data import from_plain, to_plain
from sol.search.records import Brief, Offer, Outcome, Quality, QualityFloor, Speed
from sol.space import Choice, Float, Int, Ranked, Space

TABLE = tuple(float(i) for i in range(9))
OFFERS = (
    Offer(
        "easycache",
        Space(
            {"threshold": Float(0.0, 1.0, bolder="up"), "warmup": Int(0, 9)},
            ({"threshold": 0.1, "warmup": 2}, {"threshold": 0.8, "warmup": 2},
             {"threshold": 0.9, "warmup": 2}, {"threshold": 0.2, "warmup": 2}),
            {"table": TABLE},
        ),
        "lossy",
    ),
    Offer("step_mask", Space({"level": Ranked(("a", "b", "c", "d"))}, ({"level": "b"},)), "lossy"),
    Offer("int8", Space({"layers": Choice(("feed_forward", "all"))}, ({"layers": "all"},)),
          "numerical", 1.5),
    Offer("text_kv", Space({}, ({},)), "exact", 1.3),
)  # fmt: skip
N_TRIALS = 18
MOMENTS = (0, 1, 4, 7, 12, 17)


def fresh(max_trials: int = N_TRIALS) -> SkillAgent:
    floor = QualityFloor(30.0, 20.0)
    return SkillAgent(Brief("cache", OFFERS, 4.0, "because", floor, max_trials, 3, 0.02))


def outcome_of(proposal) -> Outcome:
    """Known functions of the setting, with every kind of failure among them."""
    config = proposal.config
    if proposal.technique == "text_kv":
        return Outcome("no_effect", "never engaged")
    if config.get("layers") == "all":
        return Outcome("failed", "no room")
    boldness = config.get("threshold", 0.4 if config.get("level", "a") > "b" else 0.2)
    if boldness > CLIFF:
        return Outcome("over_budget", "12 dB", Quality(12.0, 12.0, 0.5, 2.0, 1))
    speedup = 1.0 + boldness + 0.001 * config.get("warmup", 0)
    speed = Speed(speedup, speedup, speedup, 3, (1.0,), (1.0 / speedup,))
    return Outcome("measured", "", Quality(45.0, 45.0, 1.0, speedup, 2), speed)


def live(agent: SkillAgent, n: int = N_TRIALS) -> list:
    """Up to `n` further trials."""
    trials = []
    while len(trials) < n and (proposal := agent.hypothesise()) is not None:
        trials.append((proposal, outcome_of(proposal)))
        agent.reflect(*trials[-1])
    return trials


LIFE = live(fresh())


def on_disk(records):
    """As it comes back from a file."""
    return from_plain(json.loads(json.dumps(to_plain(records))))


def everything_known(agent: SkillAgent):
    return agent.state(), agent.frontier(), agent.edges()


def test_the_life_that_is_recalled_has_every_kind_of_outcome_and_of_proposal():
    assert {outcome.status for _, outcome in LIFE} == {
        "measured", "over_budget", "no_effect", "failed"
    }  # fmt: skip
    reasons = {proposal.hypothesis.split()[0] for proposal, _ in LIFE}
    assert {"first", "halfway", "sampled"} <= reasons
    assert len(LIFE) == N_TRIALS


@pytest.mark.parametrize("n", (*MOMENTS, 18))
def test_after_any_trial_the_successor_knows_the_same_and_proposes_the_same(n):
    lived, successor = fresh(), fresh()
    past = live(lived, n)
    successor.recall(on_disk(past))
    assert everything_known(successor) == everything_known(lived)
    assert past + live(successor) == LIFE


@pytest.mark.parametrize("n", MOMENTS)
def test_what_was_being_measured_is_proposed_again_under_its_number(n):
    successor = fresh()
    successor.recall(on_disk(LIFE[:n]), on_disk([LIFE[n][0]]))
    assert LIFE[:n] + live(successor) == LIFE


@pytest.mark.parametrize("n", MOMENTS)
def test_a_trial_that_was_under_way_is_not_proposed_again_once_its_outcome_is_there(n):
    successor = fresh()
    successor.recall(LIFE[:n], [LIFE[n][0]])
    successor.reflect(*LIFE[n])
    assert LIFE[: n + 1] + live(successor) == LIFE


@pytest.mark.parametrize("n", MOMENTS[1:])
def test_an_outcome_that_it_knows_from_the_past_is_not_learned_twice(n):
    lived, successor = fresh(), fresh()
    told = [lived.reflect(proposal, outcome_of(proposal)) for proposal in proposals(lived, n)]
    successor.recall(LIFE[:n])
    assert successor.reflect(*LIFE[n - 1]) == told[-1]
    assert everything_known(successor) == everything_known(lived)


def proposals(agent: SkillAgent, n: int):
    for _ in range(n):
        yield agent.hypothesise()


def test_recalling_twice_is_recalling_once():
    once, twice = fresh(), fresh()
    found = once.recall(LIFE[:9], [LIFE[9][0]])
    twice.recall(LIFE[:9], [LIFE[9][0]])
    assert twice.recall(LIFE[:9], [LIFE[9][0]]) == found
    assert live(twice) == live(once)


def test_it_says_again_what_its_predecessor_had_found():
    lived = fresh()
    told = [f for p in proposals(lived, 9) for f in lived.reflect(p, outcome_of(p))]
    assert len(told) > 1
    assert fresh().recall(LIFE[:9]) == tuple(told)


def test_trials_of_a_technique_that_is_not_searched_here_count_and_teach_nothing():
    brief = Brief("cache", OFFERS[1:], 4.0, "because", QualityFloor(30.0, 20.0), 99, 3, 0.02)
    agent = SkillAgent(brief)
    agent.recall([trial for trial in LIFE if trial[0].technique == "easycache"])
    assert agent.frontier() == ()
    assert agent.hypothesise().number > 1
