"""From errors by head and density to plans."""

from itertools import pairwise

import pytest
from sparsity_examples import ATTENTION

from sol.skills.sparse_attention.density_plans import make_density_plans
from sol.skills.sparse_attention.topk_blocks import TopKBlocksConfig


@pytest.mark.parametrize(
    ("remainder", "budget", "densities"),
    [
        ("drop", 0.02, ((1.0, 0.5), (1.0, 1.0))),
        ("drop", 0.3, ((0.5, 0.25), (1.0, 0.5))),
        ("mean", 0.2, ((0.25, 0.25), (0.5, 0.5))),
        ("mean", 0.3, ((0.25, 0.25), (0.25, 0.25))),
    ],
)
def test_each_head_has_the_smallest_density_within_the_budget(remainder, budget, densities):
    (plan,) = make_density_plans(ATTENTION, remainder, [budget])
    assert plan.densities == densities
    assert plan.budget == budget


def test_plans_go_from_gentle_to_bold_and_are_nested():
    plans = make_density_plans(ATTENTION, "mean", [0.3, 0.01, 0.1, 0.2])
    assert [plan.budget for plan in plans] == [0.01, 0.1, 0.2, 0.3]
    assert [plan.mean for plan in plans] == pytest.approx([0.875, 0.6875, 0.375, 0.25])
    for gentle, bold in pairwise(plans):
        for before, after in zip(gentle.densities, bold.densities, strict=True):
            assert all(a >= b for a, b in zip(before, after, strict=True))


def test_a_plan_that_changes_nothing_is_left_out():
    assert make_density_plans(ATTENTION, "drop", [0.001]) == ()
    assert len(make_density_plans(ATTENTION, "drop", [0.6, 0.7, 0.8])) == 1


def test_a_plan_is_a_setting():
    (plan,) = make_density_plans(ATTENTION, "drop", [0.3])
    assert TopKBlocksConfig(densities=plan.densities).densities == plan.densities
