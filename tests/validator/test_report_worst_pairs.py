"""Which pairs a person is shown."""

import math

import pytest

from sol.validator.records import PairRecord
from sol.validator.report.worst_pairs import choose_worst_pairs
from sol.validator.verdict import Check

RULES = [("psnr", "floor"), ("ssim", "worst"), ("sharpness", "ratio"), ("flicker", "difference")]


def pair(prompt, psnr=40.0, ssim=0.99, sharpness=1.0, flicker=0.0, **others):
    return PairRecord(
        prompt,
        0,
        {"sharpness": 1.0, "flicker": 0.9},
        {"sharpness": sharpness, "flicker": 0.9 + flicker},
        {"psnr": psnr, "ssim": ssim},
        **others,
    )


PAIRS = [
    pair("good"),
    pair("noisy", psnr=20.0, ssim=0.97),
    pair("broken", psnr=25.0, ssim=0.5),
    pair("sharp", sharpness=1.5),
    pair("soft", sharpness=0.8),
    pair("restless", flicker=-0.01),
]


def names(chosen):
    return [item.record.prompt for item in chosen]


def test_the_worst_of_each_metric_is_chosen_with_its_reason():
    chosen = {item.record.prompt: item.reasons for item in choose_worst_pairs(RULES, (), PAIRS, 4)}
    assert chosen == {
        "noisy": ("lowest psnr, 20",),
        "broken": ("lowest ssim, 0.5",),
        "sharp": ("sharpness ratio furthest from 1, 1.5",),
        "restless": ("largest loss of flicker, -0.01",),
    }


def test_then_come_the_second_worst():
    chosen = choose_worst_pairs(RULES[:1], (), PAIRS, 3)
    assert names(chosen)[:2] == ["noisy", "broken"]
    assert chosen[1].reasons == ("lowest psnr (no. 2), 25",)


def test_one_pair_that_is_the_worst_twice_is_shown_once_with_both_reasons():
    pairs = [pair("good"), pair("bad", psnr=10.0, ssim=0.1)]
    chosen = choose_worst_pairs(RULES[:2], (), pairs)
    assert names(chosen) == ["bad", "good"]
    assert chosen[0].reasons == ("lowest psnr, 10", "lowest ssim, 0.1")


def test_two_rules_of_one_metric_give_one_reason():
    rules = [("psnr", "floor"), ("psnr", "tail"), ("psnr", "worst")]
    assert choose_worst_pairs(rules, (), PAIRS)[0].reasons == ("lowest psnr, 20",)


def test_the_rule_nearest_to_its_limit_leads():
    checks = (
        Check("psnr_floor", True, 33.0, 32.0, 30.0, 6, ""),
        Check("ssim_worst", False, 0.5, 0.5, 0.9, 6, ""),
    )
    assert names(choose_worst_pairs(RULES[:2], checks, PAIRS, 2)) == ["broken", "noisy"]


def test_a_pair_with_a_problem_comes_before_all():
    pairs = [*PAIRS, PairRecord("black", 0, {}, {}, {}, ("accelerated: black",))]
    chosen = choose_worst_pairs(RULES, (), pairs, 2)
    assert names(chosen)[0] == "black"
    assert chosen[0].reasons == ("accelerated: black",)


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_is_none_ranks_nowhere(number):
    chosen = choose_worst_pairs(RULES[:1], (), [pair("odd", psnr=number), pair("good")])
    assert names(chosen) == ["good"]


def test_no_pairs_are_no_pairs():
    assert choose_worst_pairs(RULES, (), []) == ()


def test_there_are_never_more_than_asked_for():
    assert len(choose_worst_pairs(RULES, (), PAIRS, 2)) == 2
