"""What members do to one another, learned from measured stacks."""

from __future__ import annotations

import math

import pytest

from sol.integrator.interactions import Interactions, Prior, pairs_of

PRIOR = Prior(pair=0.06, common=0.7, noise=0.02)
A, A2, B, C, D = ("a", "1"), ("a", "2"), ("b", "1"), ("c", "1"), ("d", "1")
FACTOR = 0.1


def members(*settings, sd=0.0):
    return dict.fromkeys(settings, sd)


def taught(*seen) -> Interactions:
    interactions = Interactions(PRIOR)
    for settings, difference in seen:
        interactions.learn(members(*settings), difference)
    return interactions


@pytest.mark.parametrize(("settings", "n_pairs"), [((A,), 0), ((A, B), 1), ((A, B, C), 3)])
def test_without_data_nothing_is_corrected_and_every_pair_adds_doubt(settings, n_pairs):
    belief = Interactions(PRIOR).believe(members(*settings))
    assert belief.mean == 0.0
    assert belief.sd == pytest.approx(PRIOR.pair * math.sqrt(n_pairs))


def test_the_doubt_about_each_member_counts_as_well():
    belief = Interactions(PRIOR).believe({A: 0.03, B: 0.04})
    assert belief.sd == pytest.approx(math.sqrt(0.03**2 + 0.04**2 + PRIOR.pair**2))


def test_a_pair_is_corrected_and_surer_in_another_stack():
    before, after = taught(), taught(((A, B), FACTOR))
    other = members(A, B, C)
    assert 0.5 * FACTOR < after.believe(other).mean < FACTOR
    assert after.believe(other).sd < before.believe(other).sd


@pytest.mark.parametrize("settings", [(C, D), (A, C), (A,)])
def test_a_stack_without_the_pair_is_not_corrected(settings):
    before, after = taught(), taught(((A, B), FACTOR))
    assert after.believe(members(*settings)) == before.believe(members(*settings))


def test_other_settings_of_the_same_techniques_share_a_part():
    after = taught(((A, B), FACTOR))
    same, other = after.believe(members(A, B)), after.believe(members(A2, B))
    assert other.mean == pytest.approx(PRIOR.common * same.mean)
    assert same.sd < other.sd < PRIOR.pair


def test_two_consistent_observations_teach_more_than_one():
    one = taught(((A, B), FACTOR)).believe(members(A, B))
    two = taught(((A, B), FACTOR), ((A, B), FACTOR)).believe(members(A, B))
    assert abs(two.mean - FACTOR) < abs(one.mean - FACTOR)
    assert two.sd < one.sd


def test_several_stacks_tell_which_pair_it_is():
    after = taught(((A, B, C), FACTOR), ((A, C), 0.0), ((B, C), 0.0))
    assert after.believe_pair(A, B).mean > 0.6 * FACTOR
    assert abs(after.believe_pair(A, C).mean) < 0.2 * FACTOR


def test_a_member_that_was_measured_wrongly_is_told_from_a_pair():
    interactions = Interactions(PRIOR)
    for other in (B, C, D):
        interactions.learn({A: 0.2, other: 0.0}, FACTOR)
    assert interactions.believe_pair(A, B).mean < 0.2 * FACTOR
    assert interactions.believe({A: 0.2}).mean > 0.8 * FACTOR


def test_what_is_believed_of_a_pair_before_any_data_is_the_prior():
    belief = taught().believe_pair(A, B)
    assert (belief.mean, belief.sd) == (0.0, pytest.approx(PRIOR.pair))


def test_the_order_of_the_stacks_does_not_matter():
    seen = (((A, B), 0.1), ((B, C), -0.05), ((A, B, C, D), 0.2))
    there, back = taught(*seen), taught(*reversed(seen))
    wanted = members(A, B, D)
    assert there.believe(wanted).mean == pytest.approx(back.believe(wanted).mean)
    assert there.believe(wanted).sd == pytest.approx(back.believe(wanted).sd)


def test_pairs_stand_in_one_order():
    assert pairs_of(members(C, A, B)) == [(A, B), (A, C), (B, C)]
