"""Which stack the integrator proposes to measure next."""

from __future__ import annotations

from dataclasses import replace

import pytest
from stack_examples import SHARES, outcome_of, quality_of, setting, speed_of

from sol.integrator.accepted import find_accepted
from sol.integrator.chances import chance_to_run
from sol.integrator.compose import Candidate, make_candidate
from sol.integrator.composer import Composer
from sol.integrator.constraints import find_conflict
from sol.integrator.measured import MeasuredStack
from sol.search.records import Outcome, Proposal, QualityFloor
from sol.search.warm_start import Precedent
from sol.skills.registry import TECHNIQUES
from sol.space import Float, Ranked, Space

FLOOR = QualityFloor(40.0, 30.0)
THRESHOLD = Space({"threshold": Float(0.0, 1.0, bolder="up")})
SPACES = {
    "easycache": THRESHOLD,
    "planned": Space({"skip": Ranked(("2", "2,4", "2,4,6"))}),
    "int8_dynamic": Space({"layers": Ranked(("few", "some", "all"))}),
    "text_kv": Space(),
    "packed_linear": Space(),
}
NO_EFFECT = Outcome("no_effect", "it found nothing to pack")

EASYCACHE = (setting(1, "easycache", threshold=0.4), outcome_of(1.5, 46.0))
INT8 = (setting(1, "int8_dynamic", layers="some"), outcome_of(1.3, 47.0))
TEXT_KV = (setting(2, "text_kv"), outcome_of(1.04, 100.0))
PACKED = (setting(1, "packed_linear"), outcome_of(1.3, 98.0))
PLANNED = (setting(3, "planned", skip="2,4"), outcome_of(1.4, 48.0))
GENTLE, BOLD = (
    (setting(4, "easycache", threshold=0.2), outcome_of(1.2, 52.0)),
    (setting(5, "easycache", threshold=0.6), outcome_of(1.9, 38.0)),
)


def composer_of(*settings, floor=FLOOR, offered=None, **options) -> Composer:
    """Knows these settings; the agents offer those that were measured, or `offered`."""
    composer = Composer(SHARES, TECHNIQUES, floor, spaces=dict(SPACES), **options)
    for proposal, outcome in settings:
        composer.learn_setting(proposal, outcome)
    for skill in {proposal.skill for proposal, _ in settings}:
        composer.offer(skill, (p for p, _ in offered or settings if p.skill == skill))
    return composer


def names(proposal: Proposal) -> set[str]:
    return {item.technique for item in proposal.members}


def settings_of(proposal: Proposal) -> str:
    return repr([(item.technique, dict(item.config)) for item in proposal.members])


def as_predicted(composer: Composer, proposal: Proposal) -> Outcome:
    """What it does is what its members did, a little worse."""
    candidate = composer.candidate_of(proposal.members)
    prediction = candidate.prediction
    if prediction.psnr < composer.floor.psnr:
        return Outcome("over_budget", "too bad", quality_of(prediction.psnr, prediction.speedup))
    return outcome_of(0.97 * prediction.speedup, prediction.psnr)


def search(composer: Composer, n: int = 60) -> list[Proposal]:
    """Proposals until there is none; every stack does as predicted."""
    proposals: list[Proposal] = []
    while len(proposals) < n and (proposal := composer.propose()) is not None:
        proposals.append(proposal)
        composer.learn_stack(proposal, as_predicted(composer, proposal))
    return proposals


def test_the_stack_that_promises_most_is_proposed_first():
    composer = composer_of(EASYCACHE, INT8, TEXT_KV)
    proposal = composer.propose()
    assert names(proposal) == {"easycache", "int8_dynamic", "text_kv"}
    assert (proposal.number, proposal.skill, proposal.technique) == (1, "integrator", "")
    assert proposal.expected_speedup > 1.5
    assert f"predicted {proposal.expected_speedup:.2f}x" in proposal.hypothesis
    phases = [TECHNIQUES[item.technique].phase for item in proposal.members]
    assert phases == sorted(phases)
    assert "easycache threshold=0.4" in proposal.label


def test_a_bid_is_more_where_more_can_be_gained():
    assert composer_of(EASYCACHE, PACKED).bid() > composer_of(EASYCACHE, TEXT_KV).bid() > 0


def test_what_cannot_clear_the_floor_is_not_proposed():
    too_bad = (setting(1, "easycache", threshold=0.9), outcome_of(3.0, 30.0))
    composer = composer_of(too_bad, INT8, TEXT_KV)
    assert names(composer.propose()) == {"int8_dynamic", "text_kv"}


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param((), id="nothing at all"),
        pytest.param((EASYCACHE,), id="one technique that cannot be stacked with itself"),
        pytest.param((EASYCACHE, (setting(2, "text_kv"), NO_EFFECT)), id="and one that failed"),
        pytest.param((EASYCACHE, PLANNED), id="two that exclude one another"),
    ],
)
def test_where_there_is_nothing_to_compose_nothing_is_bid(settings):
    composer = composer_of(*settings)
    assert composer.bid() == 0.0
    assert composer.propose() is None


def test_only_settings_that_an_agent_offers_are_composed():
    composer = composer_of(EASYCACHE, BOLD, PACKED, offered=(EASYCACHE, PACKED))
    assert composer.propose().members[-1].config == {"threshold": 0.4}
    composer.offer("kernel_fusion", ())
    assert composer.propose() is None


def test_no_stack_is_proposed_twice_nor_one_that_the_rules_forbid():
    composer = composer_of(GENTLE, EASYCACHE, BOLD, INT8, TEXT_KV, PLANNED)
    proposals = search(composer)
    assert len(proposals) > 3
    assert len({settings_of(p) for p in proposals}) == len(proposals)
    for proposal in proposals:
        assert len(proposal.members) > 1
        members = [(TECHNIQUES[item.technique], item) for item in proposal.members]
        assert find_conflict(members) is None


def test_a_stack_that_is_being_measured_is_not_proposed_again():
    composer = composer_of(EASYCACHE, INT8, TEXT_KV)
    first, second = composer.propose(), composer.propose()
    assert settings_of(first) != settings_of(second)
    assert second.number == 2


def test_at_the_end_nothing_is_left():
    composer = composer_of(EASYCACHE, INT8, TEXT_KV)
    proposals = search(composer)
    assert 1 <= len(proposals) < 60
    assert composer.propose() is None
    assert composer.bid() == 0.0
    assert set(composer.best.candidate.key) >= {("text_kv", "[]")}


def test_the_same_inputs_lead_to_the_same_proposals():
    settings = (GENTLE, EASYCACHE, INT8, TEXT_KV, PLANNED)
    there, back = (search(composer_of(*settings), 12) for _ in range(2))
    assert there == back
    assert len(there) == 12


def test_a_banned_loss_is_not_proposed_in_any_stack():
    composer = composer_of(EASYCACHE, INT8, TEXT_KV, PACKED)
    first = composer.propose()
    composer.learn_stack(first, outcome_of(2.3, 42.0))
    rejected = composer.best.candidate
    composer.ban(rejected)
    assert composer.best.candidate != rejected
    lossy = {("easycache", 0.4), ("int8_dynamic", "some")}
    later = search(composer)
    assert later
    for proposal in later:
        found = {(i.technique, next(iter(i.config.values()), None)) for i in proposal.members}
        assert not lossy <= found


def test_an_exact_stack_is_banned_as_it_is():
    composer = composer_of(TEXT_KV, PACKED)
    composer.ban(candidate_of(composer, composer.propose()))
    assert composer.propose() is None


def candidate_of(composer: Composer, proposal: Proposal) -> Candidate:
    return composer.candidate_of(proposal.members)


def lone_knob(proposal: Proposal, technique: str, knob: str):
    return next(item.config[knob] for item in proposal.members if item.technique == technique)


def test_a_gentler_neighbour_is_proposed_of_what_fell_short():
    composer = composer_of(GENTLE, EASYCACHE, PACKED, offered=(EASYCACHE, PACKED))
    first = composer.propose()
    assert lone_knob(first, "easycache", "threshold") == 0.4
    composer.demand(46.0)
    composer.learn_stack(first, Outcome("over_budget", "45.5 dB", quality_of(45.5, 1.9)))
    second = composer.propose()
    assert names(second) == names(first)
    assert 0.2 <= lone_knob(second, "easycache", "threshold") < 0.4


def test_a_bolder_neighbour_is_proposed_of_what_has_slack():
    composer = composer_of(GENTLE, EASYCACHE, PACKED, offered=(EASYCACHE, PACKED))
    first = composer.propose()
    composer.learn_stack(first, outcome_of(first.expected_speedup, 46.0))
    second = composer.propose()
    assert names(second) == names(first)
    assert lone_knob(second, "easycache", "threshold") > 0.4


def test_a_retuned_stack_takes_up_further_members():
    """No agent offers its setting, so it is not composed of what they offer."""
    composer = composer_of(GENTLE, EASYCACHE, PACKED, offered=(EASYCACHE, PACKED))
    composer.learn_stack(composer.propose(), outcome_of(1.9, 46.0))
    retuned = composer.propose()
    composer.learn_stack(retuned, outcome_of(2.3, 42.0))
    composer.learn_setting(*TEXT_KV)
    composer.offer("cache", [EASYCACHE[0], TEXT_KV[0]])
    chosen = lone_knob(retuned, "easycache", "threshold")
    assert chosen != 0.4
    larger = [proposal for proposal in search(composer, 12) if "text_kv" in names(proposal)]
    assert chosen in [lone_knob(proposal, "easycache", "threshold") for proposal in larger]


def test_exact_members_are_not_retuned():
    spaces = {**SPACES, "packed_linear": THRESHOLD}
    packed = (setting(1, "packed_linear", threshold=0.5), outcome_of(1.3, 98.0))
    composer = composer_of(packed, TEXT_KV)
    composer.spaces.update(spaces)
    composer.learn_stack(composer.propose(), outcome_of(1.3, 98.0))
    assert composer.propose() is None


def test_pairs_of_a_stack_that_did_not_run_are_suspect():
    """Any of its three pairs may be why: a stack with none of them comes first."""
    composer = composer_of(EASYCACHE, INT8, TEXT_KV)
    first = composer.propose()
    composer.learn_stack(first, NO_EFFECT)
    alone = composer.bid()
    composer.learn_setting(*PACKED)
    composer.offer("kernel_fusion", [PACKED[0]])
    second = composer.propose()
    assert composer.stacks[-2].reason == "it found nothing to pack"
    assert "packed_linear" in names(second)
    assert len(names(second) & names(first)) == 1
    assert 0 < alone < composer_of(EASYCACHE, INT8, TEXT_KV).bid()


def test_a_pair_that_ran_since_is_not_suspect():
    composer = composer_of(EASYCACHE, INT8, TEXT_KV)
    whole = composer.propose()
    composer.learn_stack(whole, NO_EFFECT)
    pair = composer.propose()
    composer.learn_stack(pair, Outcome("over_budget", "39 dB", quality_of(39.0, 1.1)))
    failed = [candidate_of(composer, whole).key]
    ran = [stack.candidate.key for stack in composer.stacks if stack.quality is not None]
    assert chance_to_run(candidate_of(composer, pair).key, ran, failed) == 1.0
    assert chance_to_run(candidate_of(composer, whole).key, ran, failed) < 1.0


def test_a_higher_floor_changes_the_best():
    composer = composer_of(EASYCACHE, INT8)
    assert composer.best.candidate.label == "easycache threshold=0.4"
    composer.demand(46.5)
    assert composer.best.candidate.label == "int8_dynamic layers=some"
    aside = {stack.candidate.label: composer.why_not_sent(stack) for stack in composer.stacks}
    assert "46.5 dB needed since" in aside["easycache threshold=0.4"]
    assert aside["int8_dynamic layers=some"] == ""
    composer.demand(10.0)
    assert composer.floor == QualityFloor(46.5, FLOOR.worst_psnr)
    composer.demand(60.0)
    assert composer.best is None
    assert composer.propose() is None


def test_the_measured_stacks_that_held_are_ranked_by_speed():
    slower = (setting(6, "text_kv"), outcome_of(0.99, 100.0))
    composer = composer_of(EASYCACHE, INT8, BOLD, slower)
    assert [stack.speedup for stack in composer.held] == [1.5, 1.3]
    assert [s.speedup for s in composer_of(EASYCACHE, INT8, least_speedup=1.4).held] == [1.5]


def measured(candidate: Candidate, speedup: float, psnr: float) -> MeasuredStack:
    return MeasuredStack(candidate, quality_of(psnr, speedup), speed_of(speedup))


def test_a_stack_that_was_measured_elsewhere_counts():
    composer = composer_of(EASYCACHE, INT8, TEXT_KV)
    other = composer_of(EASYCACHE, INT8, TEXT_KV)
    proposal = other.propose()
    stack = measured(candidate_of(composer, proposal), 2.5, 43.0)
    composer.take(stack)
    assert composer.best == stack
    assert proposal.members not in [p.members for p in search(composer)]
    predicted = composer.model.predict(stack.candidate.members)
    assert stack.candidate.predicted_speedup < predicted.speedup < 2.5


def test_a_stack_that_is_taken_again_is_kept_once():
    composer = composer_of(EASYCACHE, INT8)
    candidate = candidate_of(composer, composer.propose())
    composer.take(measured(candidate, 2.0, 43.0))
    composer.take(measured(candidate, 1.9, 43.0))
    assert [s.speedup for s in composer.stacks if len(s.candidate.members) == 2] == [1.9]


def test_what_is_known_by_now_takes_the_place_of_what_was_known():
    """Once its edge has fallen the fastest stack is out, and others promise more than before."""
    composer = composer_of(EASYCACHE, INT8, TEXT_KV)
    composer.learn_stack(composer.propose(), outcome_of(2.5, 44.0))
    best, bid, n_stacks = composer.best, composer.bid(), len(composer.stacks)
    composer.put(replace(best, reason="its neighbour fails"))
    assert composer.best.speedup < best.speedup
    assert len(composer.stacks) == n_stacks
    assert composer.bid() > bid


def test_a_stack_keeps_the_prediction_that_was_made_before_it_was_measured():
    composer = composer_of(EASYCACHE, INT8)
    proposal = composer.propose()
    composer.learn_stack(proposal, outcome_of(1.2, 43.0))
    first = composer.stacks[-1]
    again = measured(candidate_of(composer, proposal), 1.25, 43.0)
    assert again.candidate.predicted_speedup < first.candidate.predicted_speedup
    kept = composer.put(again)
    assert kept.candidate == first.candidate
    assert kept.is_prediction
    assert kept.speedup == 1.25


def test_a_stack_without_one_of_its_members():
    composer = composer_of(EASYCACHE, INT8, TEXT_KV)
    candidate = candidate_of(composer, composer.propose())
    rest = composer.without(candidate, candidate.members[0])
    assert rest.members == candidate.members[1:]
    assert rest == make_candidate(candidate.members[1:], TECHNIQUES, composer.model)


def test_a_stack_of_a_run_that_was_killed_is_recalled_as_it_was():
    settings = (GENTLE, EASYCACHE, INT8, TEXT_KV)
    live = composer_of(*settings)
    history = []
    for _ in range(3):
        proposal = live.propose()
        history.append((proposal, as_predicted(live, proposal)))
        live.learn_stack(*history[-1])
    recalled = composer_of(*settings)
    for trial in history:
        recalled.learn_stack(*trial)
    assert recalled.stacks == live.stacks
    assert recalled.best == live.best
    assert recalled.propose() == live.propose()


def test_a_retuned_stack_is_recalled_with_its_estimates():
    settings = (GENTLE, EASYCACHE, PACKED)
    live, recalled = composer_of(*settings), composer_of(*settings)
    for _ in range(2):
        proposal = live.propose()
        outcome = outcome_of(proposal.expected_speedup, 46.0)
        live.learn_stack(proposal, outcome)
        recalled.learn_stack(proposal, outcome)
    assert not all(effect.is_measured for effect in live.stacks[-1].candidate.members)
    assert recalled.stacks == live.stacks


def test_a_stack_that_was_not_timed_is_kept_with_its_reason():
    composer = composer_of(EASYCACHE, INT8)
    composer.learn_stack(
        composer.propose(), Outcome("over_budget", "38.0 dB", quality_of(38.0, 1.9))
    )
    stack = composer.stacks[-1]
    assert stack.reason == "38.0 dB"
    assert not stack.is_eligible
    assert composer.best.candidate.label == "easycache threshold=0.4"


ACCEPTED = (
    Precedent("easycache", {"threshold": 0.4, "reuse": "ridge"}, "recipes/a.yaml", 2.4),
    Precedent("text_kv", {}, "recipes/a.yaml", 2.4),
    Precedent("cuda_graphs", {}, "recipes/a.yaml", 2.4),
)


def test_what_a_recipe_was_accepted_with_is_measured_once_its_members_were():
    composer = composer_of(EASYCACHE, INT8)
    composer.recommend(ACCEPTED)
    assert names(composer.propose()) == {"easycache", "int8_dynamic"}
    composer.learn_setting(*TEXT_KV)
    composer.offer("cache", [EASYCACHE[0], TEXT_KV[0]])
    proposal = composer.propose()
    assert names(proposal) == {"easycache", "text_kv"}
    assert proposal.hypothesis.startswith("accepted before with 2.40x (recipes/a.yaml); predicted")
    composer.learn_stack(proposal, outcome_of(1.6, 45.0))
    assert names(composer.propose()) != {"easycache", "text_kv"}


def test_a_recipe_is_worth_no_more_than_it_gained():
    composer = composer_of(EASYCACHE, INT8, TEXT_KV)
    composer.recommend([replace(precedent, speedup=1.5) for precedent in ACCEPTED])
    assert names(composer.propose()) == {"easycache", "int8_dynamic", "text_kv"}


def test_of_a_recipe_with_one_member_left_there_is_no_stack():
    assert find_accepted(ACCEPTED[1:], SPACES) == ()
    (whole,) = find_accepted(ACCEPTED, SPACES)
    assert set(whole.knobs) == {"easycache", "text_kv"}
