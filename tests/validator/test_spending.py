from statistics import NormalDist

import numpy as np
import pytest

from sol.validator.spending import look_levels, spent_error


def crossing_share(levels, looks, drift=0.0):
    """How often a Brownian motion crosses one of the boundaries."""
    rng = np.random.default_rng(0)
    steps = np.diff([0, *looks])
    paths = rng.normal(size=(200_000, len(looks))) * np.sqrt(steps) + drift * steps
    z = paths.cumsum(axis=1) / np.sqrt(looks)
    bounds = [NormalDist().inv_cdf(1 - level) for level in levels]
    return float((z > bounds).any(axis=1).mean())


def test_a_single_look_spends_all_of_it():
    assert look_levels((40,), 0.05, 1.0) == (0.05,)


@pytest.mark.parametrize("rho", [0.5, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("looks", [(10, 20), (42, 84, 126), (16, 32, 64, 128)])
def test_all_looks_together_err_as_often_as_they_may(looks, rho):
    levels = look_levels(looks, 0.05, rho)
    assert crossing_share(levels, looks) == pytest.approx(0.05, abs=0.0015)


def test_no_boundaries_at_all_would_err_more_often():
    looks = (42, 84, 126)
    assert crossing_share((0.05, 0.05, 0.05), looks) > 0.1


def test_a_high_rho_saves_the_error_for_the_end():
    looks = (10, 20, 30)
    early, late = look_levels(looks, 0.05, 1.0), look_levels(looks, 0.05, 3.0)
    assert early[0] > late[0]
    assert early[-1] < late[-1] < 0.05


def test_the_error_is_spent_by_the_share_of_the_evidence():
    assert spent_error((10, 40), 0.04, 2.0) == pytest.approx((0.0025, 0.04))


@pytest.mark.parametrize("looks", [(), (0, 5), (5, 5), (9, 3)])
def test_looks_must_rise(looks):
    with pytest.raises(ValueError, match="must rise"):
        look_levels(looks, 0.05, 1.0)
