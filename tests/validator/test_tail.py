import numpy as np
import pytest

from sol.validator.tail import allowed_failures, smallest_sample


def accept_share(looks, allowed, share):
    """How often so many prompts would be accepted if `share` of all fail."""
    rng = np.random.default_rng(0)
    steps = np.diff([0, *looks])
    counts = rng.binomial(steps, share, size=(200_000, len(looks))).cumsum(axis=1)
    limits = [-1 if number is None else number for number in allowed]
    return float((counts <= limits).any(axis=1).mean())


def test_59_prompts_without_a_failure_show_that_fewer_than_5_percent_fail():
    assert smallest_sample(0.05, 0.05) == 59
    assert allowed_failures((58,), 0.05, 0.05, 1.0) == (None,)
    assert allowed_failures((59,), 0.05, 0.05, 1.0) == (0,)
    assert allowed_failures((93,), 0.05, 0.05, 1.0) == (1,)


@pytest.mark.parametrize("looks", [(59,), (42, 84, 126), (60, 90, 120, 240)])
@pytest.mark.parametrize("alpha", [0.05, 0.025])
def test_a_share_at_the_limit_is_accepted_no_more_often_than_it_may(looks, alpha):
    allowed = allowed_failures(looks, 0.05, alpha, 1.0)
    assert accept_share(looks, allowed, 0.05) <= alpha + 0.001


def test_what_never_fails_is_accepted_at_the_first_look_that_can():
    assert allowed_failures((42, 84, 126), 0.05, 0.025, 1.0) == (None, 0, 1)
    assert accept_share((42, 84, 126), (None, 0, 1), 0.0) == 1.0
