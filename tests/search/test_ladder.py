"""When a cheap measure may end a trial."""

from __future__ import annotations

import math

import pytest

from sol.search.ladder import Ladder
from sol.search.records import Glance, Quality, QualityFloor

FLOOR = QualityFloor(30.0, 25.0)
RANKED = ((0.01, 45.0), (0.02, 42.0), (0.04, 37.0), (0.08, 33.0), (0.16, 28.0), (0.32, 21.0))
"""Relative errors and dB of settings that a cheap measure ranks without a fault."""


def glance_of(error=None, call_error=None, updates=(0.9, 1.1), is_finite=True) -> Glance:
    return Glance(call_error, error, 8, *updates, is_finite, 1.0)


def quality_of(psnr) -> Quality:
    return Quality(psnr, psnr - 1, 0.9, 1.5, 3)


def taught(pairs) -> Ladder:
    ladder = Ladder(FLOOR)
    for error, psnr in pairs:
        ladder.learn(glance_of(error), quality_of(psnr))
    return ladder


def test_a_measure_that_ranks_rules_out_by_a_margin_beyond_the_mildest_failure():
    ladder = taught(RANKED)
    assert ladder.limits.latent_error == 0.2
    assert ladder.verdict(glance_of(0.19)) is None
    reason = ladder.verdict(glance_of(0.2))
    assert "relative error 0.2 of the final latents of one prompt" in reason
    assert "rank correlation with PSNR 1.00, n=6" in reason


def test_what_is_no_worse_than_what_held_goes_on():
    ladder = taught((*RANKED, (0.24, 31.0)))
    assert ladder.verdict(glance_of(0.24)) is None
    assert ladder.verdict(glance_of(0.31)) is not None


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param(RANKED[1:], id="too few"),
        pytest.param(
            tuple(zip([e for e, _ in RANKED], [33.0, 21.0, 45.0, 28.0, 42.0, 37.0], strict=True)),
            id="another order",
        ),
        pytest.param(((0.0, 100.0), *RANKED[1:]), id="one that nobody can tell from the baseline"),
        pytest.param([(0.1, psnr) for _, psnr in RANKED], id="the same error for all"),
    ],
)
def test_a_measure_that_has_not_shown_that_it_ranks_decides_nothing(pairs):
    ladder = taught(pairs)
    assert ladder.limits.latent_error == math.inf
    assert ladder.verdict(glance_of(10.0)) is None


def test_where_nothing_failed_nothing_is_ruled_out():
    ladder = taught([(error, psnr + 12) for error, psnr in RANKED])
    assert ladder.describe()[1]["trusted"]
    assert ladder.verdict(glance_of(10.0)) is None


def test_trust_is_told_when_it_is_won_and_when_it_is_lost():
    ladder = Ladder(FLOOR)
    *first, last = RANKED
    told = [ladder.learn(glance_of(error), quality_of(psnr)) for error, psnr in first]
    assert told == [()] * 5
    (won,) = ladder.learn(glance_of(last[0]), quality_of(last[1]))
    assert won == {
        "measure": "the final latents of one prompt",
        "correlation": 1.0,
        "n": 6,
        "trusted": True,
        "limit": 0.2,
        "verdict": "may end trials",
    }
    (lost,) = ladder.learn(glance_of(0.005), quality_of(20.0))
    assert (lost["trusted"], lost["limit"]) == (False, None)


def test_single_calls_are_a_rung_of_their_own():
    ladder = Ladder(FLOOR)
    for error, psnr in RANKED:
        ladder.learn(glance_of(call_error=error), quality_of(psnr))
    assert ladder.limits.call_error == 0.2
    assert ladder.limits.latent_error == math.inf
    assert "output on recorded calls" in ladder.verdict(glance_of(call_error=0.21))
    assert [rung["n"] for rung in ladder.describe()] == [6, 0]


@pytest.mark.parametrize(
    ("glance", "reason"),
    [
        pytest.param(glance_of(is_finite=False), "not finite after 8 steps", id="NaN"),
        pytest.param(glance_of(updates=(0.9, 4.5)), "4.5 times the baseline's", id="blows up"),
        pytest.param(glance_of(updates=(0.0, 1.0)), "0 times the baseline's", id="stands still"),
        pytest.param(
            glance_of(updates=(0.2, 8.0)), "8 times the baseline's", id="the further one"
        ),
        pytest.param(glance_of(updates=(0.25, 4.0)), None, id="just inside"),
        pytest.param(glance_of(updates=(None, None)), None, id="a single step"),
    ],
)
def test_a_run_that_is_lost_is_out_whatever_is_trusted(glance, reason):
    verdict = Ladder(FLOOR).verdict(glance)
    assert verdict is None if reason is None else reason in verdict
