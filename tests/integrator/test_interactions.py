"""What members do to one another, learned from measured stacks."""

from __future__ import annotations

import math

import pytest

from sol.integrator.interactions import Alone, Interactions, Prior, pairs_of

PRIOR = Prior(pair=0.06, common=0.7, noise=0.02)
A, A2, B, C, D = ("a", "1"), ("a", "2"), ("b", "1"), ("c", "1"), ("d", "1")
FACTOR = 0.1


def members(*settings, sd=0.0):
    return dict.fromkeys(settings, Alone(sd))


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
    belief = Interactions(PRIOR).believe({A: Alone(0.03), B: Alone(0.04)})
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
    assert after.believe_pair(members(A, B)).mean > 0.6 * FACTOR
    assert abs(after.believe_pair(members(A, C)).mean) < 0.2 * FACTOR


def test_a_member_that_was_measured_wrongly_is_told_from_a_pair():
    interactions = Interactions(PRIOR)
    for other in (B, C, D):
        interactions.learn({A: Alone(0.2), other: Alone(0.0)}, FACTOR)
    assert interactions.believe_pair(members(A, B)).mean < 0.2 * FACTOR
    assert interactions.believe({A: Alone(0.2)}).mean > 0.8 * FACTOR


def test_what_is_believed_of_a_pair_before_any_data_is_the_prior():
    belief = taught().believe_pair(members(A, B))
    assert (belief.mean, belief.sd) == (0.0, pytest.approx(PRIOR.pair))


def test_what_two_do_to_one_another_is_in_proportion_to_the_smaller():
    prior = Prior(pair=0.5, common=0.7, noise=0.02, least=0.01)
    interactions = Interactions(prior)
    sizes = {A: Alone(0.0, 0.6), B: Alone(0.0, 0.2)}
    assert interactions.believe(sizes).sd == pytest.approx(0.5 * 0.2 + 0.01)
    interactions.learn(sizes, -0.1)
    smaller = {A: Alone(0.0, 0.6), B: Alone(0.0, 0.02)}
    expected = interactions.believe(sizes).mean * (0.5 * 0.02 + 0.01) / (0.5 * 0.2 + 0.01)
    assert interactions.believe(smaller).mean == pytest.approx(expected)


def test_the_mean_alone_is_that_of_the_belief():
    after = taught(((A, B), 0.1), ((A2, B, C), -0.05), ((C, D), 0.2))
    for settings in ((A, B), (A, B, C), (A2, C, D), (D,)):
        wanted = members(*settings, sd=0.03)
        assert after.expect(wanted) == pytest.approx(after.believe(wanted).mean)


def test_the_order_of_the_stacks_does_not_matter():
    seen = (((A, B), 0.1), ((B, C), -0.05), ((A, B, C, D), 0.2))
    there, back = taught(*seen), taught(*reversed(seen))
    wanted = members(A, B, D)
    assert there.believe(wanted).mean == pytest.approx(back.believe(wanted).mean)
    assert there.believe(wanted).sd == pytest.approx(back.believe(wanted).sd)


def test_pairs_stand_in_one_order():
    assert pairs_of(members(C, A, B)) == [(A, B), (A, C), (B, C)]
