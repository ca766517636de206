"""What a stack should do, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from stack_examples import SHARES, effect, model, quality_of, speed_of

from sol.integrator.cost import cost_of, predict_time
from sol.integrator.interactions import Belief
from sol.integrator.prediction import Prediction
from sol.search.records import QualityFloor
from sol.skills.registry import TECHNIQUES

FLOOR = QualityFloor(40.0, 30.0)
EASYCACHE = effect("easycache", 1.6, 46.0, computed=0.55, threshold=0.1)
PAB = effect("pab", 1.2, 47.0)
INT8 = effect("int8_dynamic", 1.2, 44.0, layers="all")
TEXT_KV = effect("text_kv", 1.05, 100.0)
PACKED = effect("packed_linear", 1.1, 98.0)


LOG_2 = math.log(2.0)


def prediction(mean=LOG_2, sd=0.1, psnr=45.0, worst=40.0, psnr_sd=1.0) -> Prediction:
    return Prediction(Belief(mean, sd), psnr, worst, psnr_sd)


def test_the_interval_is_one_of_95_percent_around_the_median():
    low, high = prediction(sd=0.1).interval
    assert low < 2.0 < high
    assert math.log(high / 2.0) == pytest.approx(math.log(2.0 / low)) == pytest.approx(0.196)


@pytest.mark.parametrize(
    ("psnr", "worst"),
    [
        pytest.param(40.0, 35.0, id="the mean is at the floor"),
        pytest.param(50.0, 30.0, id="the worst prompt is at the floor"),
    ],
)
def test_at_the_floor_the_chance_is_one_half(psnr, worst):
    assert prediction(psnr=psnr, worst=worst).chance_of(FLOOR) == pytest.approx(0.5)


def test_the_chance_grows_with_quality_and_is_nearer_to_one_half_in_doubt():
    chances = [prediction(psnr=psnr).chance_of(FLOOR) for psnr in (37, 39, 40, 41, 43)]
    assert chances == sorted(chances)
    assert 0.0 < chances[0] < 0.01
    assert 0.99 < chances[-1] < 1.0
    assert 0.5 < prediction(psnr=41, psnr_sd=5.0).chance_of(FLOOR) < chances[3]


@pytest.mark.parametrize("psnr", [30.0, 50.0])
def test_without_doubt_the_chance_is_none_or_one(psnr):
    assert prediction(psnr=psnr, psnr_sd=0.0).chance_of(FLOOR) == float(psnr > 40.0)


@pytest.mark.parametrize("mean", [-2.0, -0.1, 0.0, 0.3, 2.0])
@pytest.mark.parametrize("sd", [0.0, 0.01, 0.3])
def test_the_expected_improvement_is_never_negative_nor_below_that_of_the_mean(mean, sd):
    gain = prediction(mean, sd).gain_over(0.2)
    assert gain >= 0.0
    assert gain >= mean - 0.2 - 1e-9


def test_the_expected_improvement_grows_with_the_mean_and_with_the_doubt():
    by_mean = [prediction(mean, 0.1).gain_over(0.2) for mean in (-0.1, 0.1, 0.2, 0.3)]
    by_sd = [prediction(0.1, sd).gain_over(0.2) for sd in (0.01, 0.05, 0.1, 0.5)]
    for gains in (by_mean, by_sd):
        assert gains == sorted(gains)
        assert len(set(gains)) == len(gains)


def test_the_expected_improvement_at_the_mean_is_that_of_a_normal_distribution():
    expected = 0.1 / math.sqrt(2 * math.pi)
    assert prediction(0.2, 0.1).gain_over(0.2) == pytest.approx(expected)


def test_a_setting_alone_is_predicted_as_it_was_measured():
    found = model().predict([EASYCACHE])
    assert found.speedup == pytest.approx(1.6)
    assert found.psnr == pytest.approx(46.0)
    assert found.log_speedup.sd == pytest.approx(EASYCACHE.log_time_sd)


def test_the_more_members_the_less_sure():
    stacks = ([EASYCACHE], [EASYCACHE, INT8], [EASYCACHE, INT8, TEXT_KV])
    sds = [model().predict(stack).log_speedup.sd for stack in stacks]
    assert sds == sorted(sds)
    assert sds[0] < sds[1] < sds[2]


def test_errors_add_up():
    mse = 10**-4.6 + 10**-4.4
    assert model().predict([EASYCACHE, INT8]).psnr == pytest.approx(-10 * math.log10(mse))


def test_the_worst_prompts_of_all_members_are_taken_for_one():
    members = [
        effect("easycache", psnr=46.0, worst_gap_db=10.0),
        effect("int8_dynamic", psnr=44.0, worst_gap_db=3.0),
    ]
    mse = 10**-3.6 + 10**-4.1
    assert model().predict(members).worst_psnr == pytest.approx(-10 * math.log10(mse))


def test_a_member_with_little_of_the_error_adds_little_doubt():
    sure = effect("pab", 1.05, 75.0)
    doubtful = replace(sure, log_error_sd=3.0)
    with_sure = model().predict([INT8, sure])
    assert model().predict([INT8, doubtful]).psnr_sd == pytest.approx(with_sure.psnr_sd, rel=1e-3)


def test_a_member_that_changes_no_frame_adds_no_doubt_about_quality():
    lossy = model().predict([EASYCACHE, INT8])
    with_exact = model().predict([EASYCACHE, INT8, TEXT_KV, PACKED])
    assert with_exact.psnr_sd == pytest.approx(lossy.psnr_sd, rel=1e-3)
    assert model().predict([TEXT_KV, PACKED]).psnr_sd == 0.0


def log_time_without_overlap(*members) -> float:
    costs = [cost_of(TECHNIQUES[m.technique], m) for m in members]
    return math.log(predict_time(SHARES, costs))


def test_two_lossy_members_of_one_skill_spend_the_same_redundancy():
    lost = model().log_time([EASYCACHE, PAB]) - log_time_without_overlap(EASYCACHE, PAB)
    assert lost == pytest.approx(0.5 * math.log(1.2))


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(INT8, id="of another skill"),
        pytest.param(TEXT_KV, id="exact"),
        pytest.param(effect("pab", 0.9), id="without a gain"),
    ],
)
def test_other_members_do_not_overlap(other):
    members = (EASYCACHE, other)
    assert model().log_time(members) == pytest.approx(log_time_without_overlap(*members))


def test_what_a_stack_taught_holds_for_others_with_the_pair():
    learned, pair = model(), [INT8, EASYCACHE]
    before = learned.predict(pair)
    learned.learn(pair, quality_of(before.psnr - 3.0), speed_of(0.8 * before.speedup))
    after = learned.predict(pair)
    assert 0.8 * before.speedup < after.speedup < 0.85 * before.speedup
    assert before.psnr - 3.0 < after.psnr < before.psnr - 2.0
    assert after.log_speedup.sd < before.log_speedup.sd
    assert after.psnr_sd < before.psnr_sd
    larger = [*pair, TEXT_KV]
    assert learned.predict(larger).speedup < model().predict(larger).speedup
    without = [INT8, TEXT_KV]
    assert learned.predict(without).speedup == pytest.approx(
        model().predict(without).speedup, rel=0.02
    )


def test_a_stack_that_was_not_timed_teaches_its_quality():
    learned, pair = model(), [INT8, EASYCACHE]
    learned.learn(pair, quality_of(30.0), None)
    assert learned.predict(pair).psnr < model().predict(pair).psnr - 3
    assert learned.predict(pair).speedup == model().predict(pair).speedup


def test_a_setting_that_was_measured_alone_teaches_nothing_new():
    learned = model()
    learned.learn([EASYCACHE], quality_of(30.0), speed_of(1.1))
    assert learned.predict([EASYCACHE, INT8]) == model().predict([EASYCACHE, INT8])


def test_rounding_errors_teach_nothing_about_quality():
    learned, exact = model(), [TEXT_KV, PACKED]
    learned.learn(exact, quality_of(85.0), speed_of(1.15))
    assert learned.predict(exact).psnr == model().predict(exact).psnr


def test_what_is_believed_of_each_pair_can_be_told():
    learned, stack = model(), [INT8, EASYCACHE, TEXT_KV]
    learned.learn([INT8, EASYCACHE], quality_of(38.0), speed_of(1.6))
    found = {(pair.first, pair.second): pair for pair in learned.interactions(stack)}
    assert len(found) == 3
    assert found["easycache", "int8_dynamic"].log_time.mean > 0.05
    assert found["easycache", "int8_dynamic"].log_error.mean > 0.1
    assert abs(found["easycache", "text_kv"].log_time.mean) < 0.01
