import numpy as np
import pytest
from gate_profiles import METRICS, TAIL, make_profile, pair, pairs

from sol.validator.futility import conditional_power, find_hopeless
from sol.validator.looks import plan_confirmation

PROFILE = make_profile((*METRICS, TAIL), looks=(8, 16), seeds=1)
FIRST, LAST = plan_confirmation(PROFILE, 0)


def hopeless(records):
    return find_hopeless(PROFILE.metrics, FIRST, records, 0.05)


def spread(mean, sd=1.0, n=8):
    values = np.linspace(-1, 1, n)
    return mean + sd * values / values.std(ddof=1)


def test_what_does_well_so_far_is_not_given_up():
    assert hopeless(pairs(8, 1)) is None
    assert hopeless([pair(p, psnr=v) for p, v in enumerate(spread(26.0))]) is None


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ([pair(p, psnr=v) for p, v in enumerate(spread(24.0))], "psnr_floor: a chance of"),
        (pairs(8, 1, flickering=0.96), "temporal_flickering_difference"),
        (pairs(8, 1, motion=0.01), "motion_ratio_min"),
        (pairs(8, 1, motion=0.03), "motion_ratio_max"),
        ([*pairs(7, 1), pair(9, ssim=0.4)], "tail: 1 prompts beyond a worst limit already"),
    ],
)
def test_what_cannot_pass_any_more_is_given_up_with_the_reason(records, words):
    assert words in hopeless(records)


def test_conditional_power_is_the_share_of_continuations_that_pass():
    rng = np.random.default_rng(1)
    seen = spread(0.6, n=8)
    z = 1.96
    # The trend of the first half goes on, with the same spread.
    rest = rng.normal(0.6, 1.0, size=(200_000, 8))
    totals = (seen.sum() + rest.sum(axis=1)) / 16
    simulated = float((totals / (1.0 / 16**0.5) > z).mean())
    assert conditional_power(seen, 0.5, 0.025) == pytest.approx(simulated, abs=0.01)


def test_without_spread_it_is_certain():
    assert conditional_power(np.full(8, 0.1), 0.5, 0.05) == 1.0
    assert conditional_power(np.full(8, -0.1), 0.5, 0.05) == 0.0
