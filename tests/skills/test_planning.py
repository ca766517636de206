"""Planning over a recorded trajectory, against brute force and against real tensors."""

from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from example_prompts import diagnosis_of

from sol.skills.cache.planning.plan import (
    cheapest_plans,
    even_change_plan,
    gap_costs,
    skipped_of,
    uniform_plan,
)
from sol.skills.cache.planning.ridge import fit_schedule, fit_stages
from sol.skills.cache.planning.trajectory import Trajectory
from sol.skills.cache.skipping.history import History
from sol.skills.cache.skipping.reuse import mix_of

N_STEPS = 10


@pytest.fixture(scope="module")
def run():
    """Latents and predictions of a made-up run: smooth curves with some noise."""
    rng = np.random.default_rng(0)
    positions = tuple(np.linspace(1.0, 0.1, N_STEPS) ** 0.7)
    basis = rng.normal(size=(4, 200))
    powers = np.stack([np.asarray(positions) ** k for k in range(4)], axis=1)
    v = powers @ basis + 0.02 * rng.normal(size=(N_STEPS, 200))
    steps = np.diff((*positions, 0.0))
    x = rng.normal(size=200) + np.concatenate(
        [np.zeros((1, 200)), np.cumsum(steps[:-1, None] * v[:-1], axis=0)]
    )
    return positions, x, v


@pytest.fixture(scope="module")
def trajectory(run):
    positions, x, v = run
    rows = np.concatenate([x, v])
    gram = tuple(map(tuple, (rows @ rows.T).tolist()))
    diagnosis = diagnosis_of((0.1,) * (N_STEPS - 1), positions=positions, gram=gram)
    return Trajectory(diagnosis.redundancy)


def real_error(run, step, anchors, kind, table=()):
    """The same prediction made with tensors by the history that a running pipeline uses."""
    positions, x, v = (torch.tensor(np.asarray(part)) for part in run)
    history = History(kind, 100.0)
    for anchor in anchors:
        history.keep("both", float(positions[anchor]), x[anchor], v[anchor])
    mix = mix_of(
        kind, history.positions("both", x[step]), float(positions[step]), step / N_STEPS, table
    )
    return history.predict("both", x[step], mix) - v[step]


@pytest.mark.parametrize("kind", ["output", "residual", "taylor1", "taylor2", "ridge"])
def test_inner_products_give_the_error_that_tensors_give(run, trajectory, kind):
    table = fit_stages(trajectory, 2) if kind == "ridge" else ()
    for step, anchors in ((3, (0, 1, 2)), (7, (1, 2, 5)), (5, (0, 4))):
        predicted = trajectory.norm(trajectory.error(step, anchors, kind, table))
        real = float(real_error(run, step, anchors, kind, table).norm())
        assert predicted == pytest.approx(real, rel=1e-6)


def test_displacement_is_where_the_skipped_steps_lead_together(run, trajectory):
    computed = (0, 1, 2, 4, 7, 9)
    moved = sum(
        trajectory.step_sizes[step]
        * real_error(run, step, [a for a in computed if a < step], "taylor1")
        for step in (3, 5, 6, 8)
    )
    assert trajectory.displacement(computed, "taylor1") == pytest.approx(float(moved.norm()))


def test_the_cheapest_plans_are_those_of_brute_force(trajectory):
    costs = gap_costs(trajectory, "taylor1", max_gap=4)
    n_computed, warmup, tail = 6, 2, 1

    def cost_of(plan):
        ends = (*plan, N_STEPS)
        return sum(costs[i, j, k] for i, j, k in zip(ends, ends[1:], ends[2:], strict=False))

    every = [
        (0, 1, *middle, N_STEPS - 1)
        for middle in combinations(range(2, N_STEPS - 1), n_computed - 3)
    ]
    best = sorted(every, key=cost_of)[:5]
    found = cheapest_plans(costs, n_computed, warmup, tail, n_best=5)
    assert found == best


def test_no_gap_is_longer_than_allowed(trajectory):
    costs = gap_costs(trajectory, "residual", max_gap=2)
    for plan in cheapest_plans(costs, 6, 2, 1, n_best=8):
        assert max(b - a - 1 for a, b in pairwise(plan)) <= 2


@pytest.mark.parametrize(("n_computed", "warmup"), [(2, 3), (11, 2), (3, 1)])
def test_impossible_plans_are_refused(trajectory, n_computed, warmup):
    with pytest.raises(ValueError, match="of 10 steps"):
        cheapest_plans(gap_costs(trajectory, "residual"), n_computed, warmup)


def test_fitted_weights_err_no_more_than_either_taylor_order(trajectory):
    computed = (0, 1, 3, 5, 7, 9)
    table = fit_schedule(trajectory, computed)
    assert all(0 <= weight <= 1 for weight in table)
    assert any(0 < weight < 1 for weight in table)
    for step in skipped_of(computed, N_STEPS):
        anchors = [a for a in computed if a < step]
        fitted = trajectory.norm(trajectory.error(step, anchors, "ridge", table))
        for kind in ("taylor1", "taylor2"):
            assert fitted <= 1.001 * trajectory.norm(trajectory.error(step, anchors, kind))


def test_weights_by_stage_serve_any_schedule(trajectory):
    table = fit_stages(trajectory, 3)
    assert len(table) == 3
    errors = {
        kind: trajectory.displacement((0, 1, 2, 4, 6, 9), kind, rows)
        for kind, rows in (("residual", ()), ("ridge", table))
    }
    assert errors["ridge"] < errors["residual"]


@pytest.mark.parametrize("n_steps", [8, 24, 50])
@pytest.mark.parametrize("warmup", [2, 4])
def test_a_uniform_plan_has_even_gaps(n_steps, warmup):
    for n_computed in range(warmup + 2, n_steps):
        plan = uniform_plan(n_steps, n_computed, warmup)
        assert len(set(plan)) == n_computed
        assert plan[0] == 0
        assert plan[-1] == n_steps - 1
        gaps = [b - a for a, b in pairwise(plan[warmup - 1 :])]
        assert max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("n_computed", [5, 8, 12])
def test_even_change_without_a_power_is_even(n_computed):
    plan = even_change_plan((0.3, 0.1) * 12, n_computed, 2, power=0.0)
    gaps = [b - a for a, b in pairwise(plan[1:])]
    assert len(set(plan)) == n_computed
    assert max(gaps) - min(gaps) <= 1


def test_even_change_computes_where_much_changes():
    changes = (0.1,) * 9 + (0.4,) * 6 + (0.1,) * 8
    plan = even_change_plan(changes, 10, 2, power=1.0)
    assert plan[:2] == (0, 1)
    assert plan[-1] == 23
    assert len(set(plan)) == 10
    busy = [step for step in plan if 9 <= step <= 15]
    assert len(busy) >= 4
    gentler = even_change_plan(changes, 10, 2, power=0.25)
    assert len([step for step in gentler if 9 <= step <= 15]) < len(busy)


def test_even_change_never_runs_out_of_steps():
    for changes in ((1.0, *(1e-9,) * 10), (*(1e-9,) * 10, 1.0)):
        for n_computed in range(4, 12):
            plan = even_change_plan(changes, n_computed, 2, power=1.0)
            assert sorted(set(plan)) == list(plan)
            assert len(plan) == n_computed
