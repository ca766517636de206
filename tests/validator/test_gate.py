import json
import math
from dataclasses import replace

import numpy as np
import pytest
from gate_profiles import METRICS, TAIL, make_profile, pair, pairs

from sol.validator.gate import check_probes, look, make_verdict
from sol.validator.looks import plan_confirmation
from sol.validator.records import Probe

PROFILE = make_profile(probes=("engagement", "state_leak"))
(PLAN,) = plan_confirmation(make_profile(looks=(4,)), 0)
FIRST, LAST = plan_confirmation(make_profile(looks=(4, 8)), 0)
PROBES = (
    Probe("engagement", True, 0.0, 0.0, 8, "engaged"),
    Probe("state_leak", True, 0.0, 0.0, 2, "none"),
)


def judge(records, probes=PROBES, profile=PROFILE, plan=PLAN, failures=()):
    findings = [check_probes(profile, probes)]
    if findings[0].outcome == "accepted":
        rng = np.random.default_rng(0)
        findings.append(look(profile, "embedded", plan, records, rng, failures))
    return make_verdict(profile, "embedded", findings, ())


def failed(verdict):
    return {check.name for check in verdict.checks if not check.passed}


def find(verdict, name):
    return next(check for check in verdict.checks if check.name == name)


def test_sound_evidence_is_accepted_and_labelled_as_a_proxy():
    verdict = judge(pairs())
    assert (verdict.verdict, verdict.reasons, verdict.is_accepted) == ("accepted", (), True)
    assert verdict.profile_digest == PROFILE.digest
    assert verdict.label == "embedded (proxy, not VBench)"


def test_no_evidence_at_all_is_rejected():
    verdict = judge([])
    assert verdict.verdict == "rejected"
    passed = {check.name for check in verdict.checks if check.passed}
    assert passed == {"engagement", "state_leak", "videos"}
    unprobed = judge(pairs(), probes=())
    assert failed(unprobed) == {"engagement", "state_leak"}
    assert not make_verdict(PROFILE, "embedded", (), ()).is_accepted


@pytest.mark.parametrize(
    ("records", "check"),
    [
        (pairs(n_prompts=3), "coverage"),
        (pairs(n_seeds=1), "coverage"),
        (pairs()[:-1], "coverage"),
        ([*pairs(), pair(0, 0)], "coverage"),
        ([*pairs(n_prompts=3), pair(9, 5), pair(9, 5)], "coverage"),
        ([*pairs(), replace(pair(9, 0), problems=("accelerated: black",))], "sanity"),
        (pairs(psnr=24.9), "psnr_floor"),
        (pairs(flickering=0.9669), "temporal_flickering_difference"),
        (pairs(motion=0.0179), "motion_ratio_min"),
        (pairs(motion=0.0221), "motion_ratio_max"),
    ],
)
def test_evidence_that_breaks_one_rule_fails_that_check_alone(records, check):
    verdict = judge(records)
    assert failed(verdict) == {check}
    assert verdict.verdict == "rejected"
    assert verdict.reasons[0].startswith(f"{check}: ")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["psnr", "flickering", "motion"])
def test_one_value_that_is_not_finite_fails_its_rules(name, bad):
    verdict = judge([*pairs(), pair(9, 0, **{name: bad})])
    assert failed(verdict)
    assert all("1 of 9 pairs have no finite" in reason for reason in verdict.reasons)


def test_a_missing_metric_fails_its_rules():
    bare = replace(pair(9, 0), paired={})
    assert failed(judge([*pairs(), bare])) == {"psnr_floor"}


@pytest.mark.parametrize(
    ("probe", "words"),
    [
        (None, "not probed"),
        (Probe("state_leak", False, 0.5, 0.0, 2, "it leaks"), "it leaks"),
        (Probe("state_leak", True, math.nan, 0.0, 2, "fine"), "its value is nan"),
        (Probe("state_leak", True, 0.0, math.inf, 2, "fine"), "its bound is inf"),
        (Probe("state_leak", True, 0.0, 0.0, 0, "fine"), "rests on no run"),
    ],
)
def test_a_probe_must_be_there_and_sound(probe, words):
    verdict = judge(pairs(), probes=(PROBES[0], probe) if probe else PROBES[:1])
    assert failed(verdict) == {"state_leak"}
    assert words in verdict.reasons[0]


def test_a_failed_probe_that_nobody_asked_for_rejects():
    extra = Probe("determinism", False, None, None, 2, "differs")
    assert failed(judge(pairs(), probes=(*PROBES, extra))) == {"determinism"}


def test_bounds_are_over_prompts_and_seeds_add_no_certainty():
    spread = [30.0, 24.0, 32.0, 26.0]
    few = judge([pair(p, s, psnr=spread[p]) for p in range(4) for s in range(2)])
    many = judge([pair(p, s, psnr=spread[p]) for p in range(4) for s in range(20)])
    assert find(few, "psnr_floor").bound == pytest.approx(find(many, "psnr_floor").bound)
    assert find(many, "psnr_floor").n == 4


def test_a_mean_above_the_floor_is_not_enough_when_it_is_uncertain():
    check = find(
        judge([pair(p, s, psnr=[20.0, 40.0][p % 2]) for p in range(4) for s in (0, 1)]),
        "psnr_floor",
    )
    assert check.value == 30.0
    assert check.bound < 25.0
    assert not check.passed


def test_ratio_with_no_spread_is_bounded_by_itself_even_among_still_prompts():
    still = [
        replace(
            record,
            baseline=record.baseline | {"motion": m},
            accelerated=record.accelerated | {"motion": m},
        )
        for record, m in zip(pairs(), [0.0] * 6 + [0.05] * 2, strict=True)
    ]
    verdict = judge(still)
    assert verdict.is_accepted
    assert find(verdict, "motion_ratio_min").bound == 1.0


def test_motion_where_the_baseline_has_none_is_rejected():
    moved = [replace(r, baseline=r.baseline | {"motion": 0.0}) for r in pairs()]
    assert failed(judge(moved)) == {"motion_ratio_min", "motion_ratio_max"}


def test_a_gain_in_one_metric_never_offsets_a_loss_in_another():
    assert not judge(pairs(psnr=100.0, flickering=0.96)).is_accepted


def test_json_has_the_fields_a_recipe_needs_and_no_nan():
    data = json.loads(json.dumps(judge(pairs(psnr=math.nan)).to_json(), allow_nan=False))
    assert data["backend"] == "embedded"
    assert data["label"] == "embedded (proxy, not VBench)"
    for check in data["checks"]:
        assert {"name", "passed", "value", "bound", "margin", "n", "detail"} <= set(check)


def test_the_same_evidence_and_seed_give_the_same_verdict():
    records = [pair(p, s, psnr=25 + p) for p in range(12) for s in range(2)]
    assert judge(records) == judge(records)


def test_a_video_that_could_not_be_made_rejects_with_the_reason():
    verdict = judge(pairs(), failures=("timeout after 60 s",))
    assert failed(verdict) == {"videos"}
    assert "1 of 9 pairs could not be made or measured, first: timeout" in verdict.reasons[0]


def test_a_share_of_failing_prompts_is_bounded_exactly():
    profile = make_profile((*METRICS, TAIL), looks=(12,), seeds=1)
    (plan,) = plan_confirmation(profile, 0)
    sound = pairs(12, 1)
    assert judge(sound, (), profile, plan).is_accepted
    verdict = judge([*sound[:-1], pair(99, ssim=0.4)], (), profile, plan)
    assert failed(verdict) == {"tail"}
    reason = verdict.reasons[0]
    assert reason.startswith("tail: 1 of 12 prompts fall beyond a worst limit, at most 0 may")
    assert reason.endswith("first 'p99': ssim 0.4, 0.5 at worst")


def test_a_prompt_that_has_not_collapsed_yet_is_counted_as_one_that_did():
    with_limit = replace(METRICS[2], worst=18.0)
    records = [pair(p, s, psnr=25.2) for p in range(4) for s in (0, 1)]
    assert judge(records).is_accepted
    verdict = judge(records, profile=make_profile((with_limit,), PROFILE.probes, tail=0.6))
    assert not verdict.is_accepted
    assert find(verdict, "psnr_floor").value == 25.2
    assert find(verdict, "psnr_floor").bound < 25.0


def glance(records, plan):
    return look(make_profile(), "embedded", plan, records, np.random.default_rng(0))


def test_an_early_look_accepts_what_is_clear():
    assert glance(pairs(), FIRST).outcome == "accepted"


def test_an_early_look_waits_where_more_prompts_can_still_decide():
    near = [pair(p, s, psnr=v) for p, v in enumerate([25.0, 28.0, 24.8, 27.0]) for s in (0, 1)]
    finding = glance(near, FIRST)
    assert (finding.outcome, finding.reason) == ("undecided", "")
    last = glance([*near, *[replace(r, prompt=f"{r.prompt}b") for r in near]], LAST)
    assert last.outcome in ("accepted", "rejected")


def test_an_early_look_rejects_what_is_hopeless():
    bad = [pair(p, s, psnr=v) for p, v in enumerate([21.0, 22.0, 21.5, 22.5]) for s in (0, 1)]
    finding = glance(bad, FIRST)
    assert finding.outcome == "rejected"
    assert "psnr_floor: a chance of" in finding.reason


def test_a_verdict_says_where_it_was_decided_and_every_look_before():
    verdict = judge(pairs(psnr=20.0))
    assert verdict.stage == "confirmation"
    assert {check.stage for check in verdict.checks} == {"probes", "confirmation"}
    assert judge(pairs(), probes=()).stage == "probes"
