from collections import Counter

import pytest

from sol.validator.kept_videos import KeptPair
from sol.validator.review.plan import ReviewError, draw_trials


def make_pairs(n):
    return [
        KeptPair(f"p{i}", f"prompt {i}", i, "motion", f"b/{i}", f"a/{i}", {"psnr": 40.0 - i})
        for i in range(n)
    ]


def test_every_pair_once_and_some_baselines_against_themselves():
    trials = draw_trials(make_pairs(24), seed=1)
    real = [trial for trial in trials if not trial.is_catch]
    assert sorted(trial.pair for trial in real) == sorted(pair.id for pair in make_pairs(24))
    assert all({trial.left, trial.right} == {"baseline", "accelerated"} for trial in real)
    catches = [trial for trial in trials if trial.is_catch]
    assert len(catches) == 6
    assert {trial.left for trial in catches} == {"baseline"}


@pytest.mark.parametrize(("n", "catches"), [(1, 1), (3, 3), (8, 4), (17, 5), (40, 10)])
def test_a_quarter_are_identical_but_four_where_there_are_pairs_for_it(n, catches):
    trials = draw_trials(make_pairs(n), seed=0)
    assert sum(trial.is_catch for trial in trials) == catches


def test_a_seed_draws_the_same_plan_and_another_one_another():
    pairs = make_pairs(12)
    assert draw_trials(pairs, 5) == draw_trials(pairs, 5)
    assert draw_trials(pairs, 5) != draw_trials(pairs, 6)


def test_sides_and_places_are_even_over_many_plans():
    lefts, first_is_catch = Counter(), 0
    for seed in range(400):
        trials = draw_trials(make_pairs(4), seed)
        lefts.update(trial.left for trial in trials if not trial.is_catch)
        first_is_catch += trials[0].is_catch
    assert abs(lefts["baseline"] / 1600 - 0.5) < 0.06
    assert abs(first_is_catch / 400 - 0.5) < 0.12


@pytest.mark.parametrize("seed", range(20))
def test_of_fewer_pairs_the_worst_are_always_among_them(seed):
    trials = draw_trials(make_pairs(20), seed, n_pairs=5)
    real = {trial.pair for trial in trials if not trial.is_catch}
    assert len(real) == 5
    assert {"p19", "p18", "p17"} <= real


def test_more_pairs_than_there_are_means_all():
    assert len({t.pair for t in draw_trials(make_pairs(3), 0, n_pairs=99)}) == 3


def test_identities_are_opaque_and_differ():
    trials = draw_trials(make_pairs(24), 3)
    assert len({trial.id for trial in trials}) == len(trials)
    assert all(len(trial.id) == 16 and int(trial.id, 16) >= 0 for trial in trials)


@pytest.mark.parametrize(("n", "asked"), [(0, None), (3, 0), (3, -1)])
def test_nothing_to_review(n, asked):
    with pytest.raises(ReviewError):
        draw_trials(make_pairs(n), 0, asked)
