"""What similar stacks did makes a stack more or less likely to run and to hold."""

from __future__ import annotations

import pytest
from stack_examples import effect, model

from sol.integrator.chances import chance_to_hold, chance_to_run
from sol.integrator.compose import make_candidate
from sol.skills.registry import TECHNIQUES
from sol.space import Float, Space

A, B, C, D = ("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")
ABC = frozenset((A, B, C))
SPACES = {"easycache": Space({"threshold": Float(0.0, 1.0, bolder="up")})}


@pytest.mark.parametrize(
    ("ran", "failed", "chance"),
    [
        ([], [], 1.0),
        ([], [{A, B}], 0.05),
        ([], [{A, B, C}], 2 / 3),
        ([{A, B}], [{A, B, C}], 1 / 2),
        ([{A, B}], [{A, B, C}, {A, B, C, D}], 1 / 2 * 4 / 5),
        ([{A, B}, {B, C}], [{A, B, C}], 0.05),
        ([{A, B}, {B, C}, {A, C}], [{A, B, C}], 1.0),
    ],
)
def test_pairs_that_never_ran_share_the_blame_for_what_failed(ran, failed, chance):
    found = chance_to_run(ABC, [frozenset(s) for s in ran], [frozenset(s) for s in failed])
    assert found == pytest.approx(chance)


def test_a_stack_without_the_suspect_pair_is_not_suspected():
    assert chance_to_run(frozenset((A, C)), [], [frozenset((A, B))]) == 1.0


def stack_of(threshold: float, *others):
    members = (effect("easycache", 1.5, 45.0, threshold=threshold), *others)
    return make_candidate(members, TECHNIQUES, model())


@pytest.mark.parametrize(("threshold", "chance"), [(0.3, 1.0), (0.4, 0.2), (0.5, 0.2)])
def test_what_is_as_bold_as_a_fallen_stack_hardly_holds(threshold, chance):
    fallen = [[effect("easycache", 1.5, 38.0, threshold=0.4)]]
    other = effect("text_kv", 1.05, 100.0)
    assert chance_to_hold(stack_of(threshold, other), fallen, SPACES) == chance


def test_a_fall_with_another_member_says_nothing_of_a_stack_without_it():
    fallen = [[effect("easycache", 1.5, 38.0, threshold=0.4), effect("int8_dynamic", 1.2, 40.0)]]
    assert chance_to_hold(stack_of(0.5), fallen, SPACES) == 1.0


def test_a_fall_without_any_loss_says_nothing():
    assert chance_to_hold(stack_of(0.5), [[]], SPACES) == 1.0
