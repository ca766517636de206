"""What one setting does alone: measured, or estimated from its neighbours."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from stack_examples import effect, quality_of, setting, speed_of

from sol.integrator.effects import effect_of, estimate, log_error_of, psnr_of
from sol.space import Choice, Float, Ranked, Space

SPACE = Space({"threshold": Float(0.0, 1.0, bolder="up")}, fixed={"table": (1.0, 2.0)})
KINDS = Space({"threshold": Float(0.0, 1.0, bolder="up"), "reuse": Choice(("a", "b"))})
GENTLE = effect("easycache", 1.2, 45.0, threshold=0.2, computed=0.8)
BOLD = effect("easycache", 1.8, 33.0, threshold=0.6, computed=0.5)
MEASURED = (GENTLE, BOLD)


def at(threshold: float, measured=MEASURED):
    return estimate(SPACE, {"threshold": threshold}, measured)


def test_what_was_measured_is_kept_as_it_is():
    counts = {"easycache": {"calls_computed": 12, "calls_skipped": 36}}
    quality = quality_of(40.0, **counts)
    found = effect_of(setting(1, "easycache", threshold=0.2), quality, speed_of(2.0))
    assert math.exp(-found.log_time) == pytest.approx(2.0)
    assert psnr_of(found.log_error) == pytest.approx(40.0)
    assert found.computed == 0.25
    assert found.is_measured
    assert found.label == "easycache threshold=0.2"


@pytest.mark.parametrize(
    "counts",
    [
        pytest.param({}, id="it counts nothing"),
        pytest.param(
            {"easycache": {"calls_computed": 24, "calls_skipped": 0}}, id="none left out"
        ),
        pytest.param({"other": {"calls_computed": 1, "calls_skipped": 9}}, id="another's counts"),
    ],
)
def test_what_leaves_no_call_out_computes_all(counts):
    found = effect_of(setting(1, "easycache"), quality_of(40.0, **counts), speed_of(2.0))
    assert found.computed == 1.0


def test_the_worst_prompt_is_kept_as_a_gap():
    quality = replace(quality_of(40.0), worst_psnr=33.0)
    found = effect_of(setting(1, "easycache"), quality, speed_of(2.0))
    assert found.worst_gap_db == pytest.approx(7.0)


def test_effects_of_one_setting_have_one_key_whatever_follows_from_it():
    a = effect_of(setting(1, "easycache", threshold=0.2), quality_of(40.0), speed_of(2.0))
    assert at(0.2).config["table"] == (1.0, 2.0)
    assert a.key == at(0.2).key != at(0.3).key


@pytest.mark.parametrize("psnr", [10.0, 43.0, 99.0])
def test_a_psnr_is_the_logarithm_of_an_error(psnr):
    assert math.exp(log_error_of(psnr)) == pytest.approx(10 ** (-psnr / 10))
    assert psnr_of(log_error_of(psnr)) == pytest.approx(psnr)


def test_no_error_at_all_has_a_logarithm():
    assert psnr_of(log_error_of(math.inf)) == pytest.approx(100.0)


@pytest.mark.parametrize("known", MEASURED)
def test_an_estimate_passes_through_what_was_measured(known):
    found = at(known.config["threshold"])
    assert found.log_time == pytest.approx(known.log_time, abs=known.log_time_sd)
    assert found.log_error == pytest.approx(known.log_error, abs=known.log_error_sd)
    assert not found.is_measured


def test_bolder_is_faster_and_worse():
    line = [at(0.2 + 0.05 * i) for i in range(9)]
    times, errors = [e.log_time for e in line], [e.log_error for e in line]
    assert times == sorted(times, reverse=True)
    assert errors == sorted(errors)
    assert len(set(times)) == len(times)


def test_the_line_goes_on_beyond_what_was_measured():
    assert at(0.8).log_time < BOLD.log_time
    assert at(0.8).log_error > BOLD.log_error


@pytest.mark.parametrize("name", ["log_time_sd", "log_error_sd"])
def test_an_estimate_is_less_sure_the_further_it_is_from_measurements(name):
    sds = [getattr(at(threshold), name) for threshold in (0.6, 0.7, 0.8, 1.0)]
    assert sds == sorted(sds)
    assert sds[-1] > 1.2 * sds[0]
    assert getattr(at(0.4), name) > getattr(at(0.6), name)
    assert getattr(at(0.8, (GENTLE,)), name) > getattr(at(0.8), name)


def test_a_choice_that_differs_teaches_less():
    same = effect("easycache", 1.8, 33.0, threshold=0.5, reuse="a")
    other = effect("easycache", 1.8, 33.0, threshold=0.5, reuse="b")
    far = effect("easycache", 1.0, 60.0, threshold=0.5, reuse="a")
    wanted = {"threshold": 0.5, "reuse": "b"}
    from_other = estimate(KINDS, wanted, (same,))
    from_same = estimate(KINDS, wanted, (other,))
    assert from_other.log_time_sd > 2 * from_same.log_time_sd
    between = estimate(KINDS, wanted, (far, other))
    assert between.log_time == pytest.approx(other.log_time, abs=0.02)


def test_the_share_of_computed_calls_follows_the_time():
    bolder, between = at(0.7), at(0.5)
    assert bolder.computed < BOLD.computed < between.computed < GENTLE.computed
    saved = math.exp(BOLD.log_time) - math.exp(bolder.log_time)
    assert BOLD.computed - bolder.computed == pytest.approx(saved)


def test_what_computes_all_calls_goes_on_to_do_so():
    measured = (effect("int8_dynamic", 1.2, threshold=0.2),)
    assert estimate(SPACE, {"threshold": 0.9}, measured).computed == 1.0


def test_the_worst_prompt_is_as_far_off_as_that_of_the_nearest_setting():
    measured = (
        effect("easycache", threshold=0.1, worst_gap_db=2.0),
        effect("easycache", threshold=0.9, worst_gap_db=8.0),
    )
    assert at(0.3, measured).worst_gap_db == 2.0
    assert at(0.7, measured).worst_gap_db == 8.0


def test_a_ranked_knob_is_a_line_by_rank():
    space = Space({"layers": Ranked(("few", "some", "most", "all"))})
    measured = (
        effect("int8_dynamic", 1.1, layers="few"),
        effect("int8_dynamic", 1.4, layers="all"),
    )
    times = [
        estimate(space, {"layers": n}, measured).log_time for n in space.knobs["layers"].options
    ]
    assert times == sorted(times, reverse=True)


def test_a_technique_without_knobs_is_known_once_it_was_measured():
    found = estimate(Space(), {}, (effect("text_kv", 1.1, 100.0),))
    assert math.exp(-found.log_time) == pytest.approx(1.1, rel=1e-3)
    assert found.log_time_sd < 0.05
