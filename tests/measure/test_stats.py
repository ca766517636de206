import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from sol.measure.stats import (
    bootstrap_median,
    mean_by_unit,
    one_sided_lower,
    rank_correlation,
    t_lower,
)


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_median_interval_holds_the_median_inside_the_range(rng):
    values = rng.normal(5.0, 1.0, 40)
    interval = bootstrap_median(values, rng)
    assert interval.median == np.median(values)
    assert values.min() < interval.low < interval.median < interval.high < values.max()
    assert interval.n == 40


def test_median_interval_narrows_with_more_values(rng):
    few = bootstrap_median(rng.normal(0, 1, 12), rng)
    many = bootstrap_median(rng.normal(0, 1, 1200), rng)
    assert many.high - many.low < (few.high - few.low) / 3


def test_median_interval_of_three_values_is_their_range(rng):
    interval = bootstrap_median([1.0, 2.0, 4.0], rng)
    assert (interval.low, interval.high) == (1.0, 4.0)


def test_no_values_are_refused(rng):
    with pytest.raises(ValueError, match="at least 1"):
        bootstrap_median([], rng)


def test_few_prompts_get_the_t_interval(rng):
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    expected = 3.0 - 2.131847 * values.std(ddof=1) / math.sqrt(5)
    assert one_sided_lower(values, rng) == pytest.approx(expected, abs=1e-6)


def test_equal_values_bound_their_mean(rng):
    assert one_sided_lower([0.1] * 12, rng) == pytest.approx(0.1, abs=1e-15)


def test_mostly_equal_values_fall_back_to_the_t_interval(rng):
    values = np.array([0.0] * 11 + [-1.2])
    expected = values.mean() - 1.795885 * values.std(ddof=1) / math.sqrt(12)
    assert one_sided_lower(values, rng) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_gives_no_bound(rng, bad):
    assert math.isnan(one_sided_lower([1.0, bad, 2.0], rng))


def test_one_value_has_no_bound(rng):
    with pytest.raises(ValueError, match="at least 2"):
        one_sided_lower([1.0], rng)


@pytest.mark.parametrize("skewed", [False, True])
def test_bound_is_below_the_true_mean_about_as_often_as_it_says(rng, skewed):
    draws = rng.exponential(1.0, (400, 12)) if skewed else rng.normal(1.0, 1.0, (400, 12))
    covered = np.mean([one_sided_lower(row, rng, n_resamples=400) <= 1.0 for row in draws])
    assert 0.91 <= covered <= 0.99


def test_same_seed_same_bound():
    values = np.random.default_rng(0).normal(0, 1, 12)
    bounds = {one_sided_lower(values, np.random.default_rng(1)) for _ in range(2)}
    assert len(bounds) == 1


def test_seeds_of_a_prompt_are_averaged_in_first_seen_order():
    means = mean_by_unit(["b", "a", "b", "a"], [1.0, 10.0, 3.0, 20.0])
    assert means.tolist() == [2.0, 15.0]


def test_units_and_values_must_match():
    with pytest.raises(ValueError, match="zip"):
        mean_by_unit(["a"], [1.0, 2.0])


def test_students_bound_is_the_textbooks():
    values = [4.0, 5.0, 6.0, 5.0, 5.0]
    error = np.std(values, ddof=1) / 5**0.5
    assert t_lower(values) == pytest.approx(5.0 - 2.1318 * error, abs=1e-4)
    assert t_lower([3.0, 3.0]) == 3.0
    with pytest.raises(ValueError, match="at least 2"):
        t_lower([1.0])


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([1.0, 2.0, 3.0], [10.0, 20.0, 1000.0], 1.0),
        ([1.0, 2.0, 3.0], [3.0, 2.0, -math.inf], -1.0),
        ([1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0], 0.8),
        ([1.0, 2.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0], 4.5 / math.sqrt(4.5 * 5)),
    ],
    ids=["same order", "opposite order", "two swapped", "ties share their mean rank"],
)
def test_rank_correlation_sees_the_order_alone(one, other, expected):
    assert rank_correlation(one, other) == pytest.approx(expected)


def test_rank_correlation_is_spearmans(rng):
    one, other = rng.integers(0, 6, (2, 40)).astype(float)
    assert rank_correlation(one, other) == pytest.approx(spearmanr(one, other).statistic)


def test_equal_values_have_no_order():
    assert rank_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) is None


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ([1.0], [1.0], "at least 2"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], "2 and 3 values"),
        ([1.0, 2.0], [1.0, math.nan], "NaN has no rank"),
    ],
    ids=["one value", "not paired", "not a number"],
)
def test_what_cannot_be_ranked_is_refused(one, other, words):
    with pytest.raises(ValueError, match=words):
        rank_correlation(one, other)
