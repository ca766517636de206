"""How well predictions agree with what was measured afterwards."""

import math

import pytest
from report_examples import make_members

from sol.measure.stats import Interval
from sol.validator.report.agreement import Guess, compare_guesses
from sol.validator.report.stack import StackReport


def make_guesses(*pairs):
    return [Guess(f"stack {i}", *pair) for i, pair in enumerate(pairs)]


def make_stack(**changes):
    numbers = {
        "label": "a stack",
        "members": make_members(0.05),
        "speedup": Interval(1.6, 1.5, 1.7, 5),
        "predicted_speedup": 1.7,
        "psnr": 31.0,
        "status": "measured",
        "predicted_psnr": 33.0,
        "is_prediction": True,
    }
    return StackReport(**numbers | changes)


def test_errors_are_shares_of_the_measured_or_differences():
    guesses = make_guesses((1.1, 1.0), (1.8, 2.0), (3.0, 3.0), (5.0, 4.0), (8.8, 8.0))
    assert compare_guesses(guesses, relative=True).median_error == pytest.approx(0.1)
    assert compare_guesses(guesses, relative=False).median_error == pytest.approx(0.2)
    assert compare_guesses(guesses, relative=True).rank_correlation == pytest.approx(1.0)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_few_stacks_say_nothing_of_the_agreement(n):
    agreement = compare_guesses(make_guesses(*[(1.1, 1.0)] * n), relative=True)
    assert (agreement.n, agreement.rank_correlation, agreement.median_error) == (n, None, None)


def test_stacks_that_are_all_predicted_alike_have_no_rank_correlation():
    agreement = compare_guesses(make_guesses(*((1.5, 1.0 + i) for i in range(4))), relative=True)
    assert agreement.rank_correlation is None
    assert agreement.median_error is not None


def test_measurements_inside_of_their_intervals_are_counted():
    guesses = [
        Guess("inside", 1.5, 1.6, likely=(1.4, 1.7)),
        Guess("outside", 1.5, 1.8, likely=(1.4, 1.7)),
        Guess("none given", 1.5, 1.5),
    ]
    agreement = compare_guesses(guesses, relative=True)
    assert (agreement.n_with_interval, agreement.n_inside) == (2, 1)


def test_the_speed_of_the_composition_is_what_was_predicted():
    stack = make_stack(speedup=Interval(1.5, 1.4, 1.6, 9), composed_speedup=Interval(1.6, 1, 2, 5))
    assert stack.speed_guess.measured == 1.6


@pytest.mark.parametrize(
    ("changes", "has_speed", "has_psnr"),
    [
        ({}, True, True),
        ({"is_prediction": False}, False, False),
        ({"speedup": None}, False, True),
        ({"predicted_speedup": None}, False, True),
        ({"psnr": None}, True, False),
        ({"predicted_psnr": None}, True, False),
        ({"psnr": math.nan}, True, False),
    ],
    ids=[
        "all there",
        "measured before it was predicted",
        "never timed",
        "no speed predicted",
        "no quality measured",
        "no quality predicted",
        "quality is not a number",
    ],
)
def test_a_stack_is_compared_where_both_numbers_are_there(changes, has_speed, has_psnr):
    stack = make_stack(**changes)
    assert (stack.speed_guess is not None, stack.psnr_guess is not None) == (has_speed, has_psnr)


def test_equal_videos_agree_with_nearly_equal_ones():
    guess = make_stack(psnr=math.inf, predicted_psnr=83.0).psnr_guess
    assert guess.predicted == guess.measured
