import numpy as np
from gate_profiles import make_profile, pair

from sol.validator.strata import check_strata

PROFILE = make_profile()
STRATA = ("compositional", "motion", "texture")


def check(psnr_of):
    records = [
        pair(k, psnr=psnr_of[stratum] + 0.1 * (k % 2), stratum=stratum)
        for k, stratum in enumerate(STRATA * 6)
    ]
    return check_strata(PROFILE, records, np.random.default_rng(0))


def test_every_rule_with_a_stratum_limit_is_held_in_every_stratum():
    checks, strata = check(dict.fromkeys(STRATA, 30.0))
    assert {c.name for c in checks} == {
        f"{metric}_{stratum}"
        for metric in ("psnr_floor", "temporal_flickering_difference")
        for stratum in STRATA
    }
    assert all(c.passed for c in checks)
    assert {finding.stratum for finding in strata} == set(STRATA)


def test_a_stratum_that_falls_behind_is_named_first_and_fails():
    checks, strata = check({"compositional": 30.0, "motion": 22.0, "texture": 29.0})
    assert [c.name for c in checks if not c.passed] == ["psnr_floor_motion"]
    worst = strata[0]
    assert (worst.stratum, worst.metric, worst.margin) == ("motion", "psnr", 23.0)
    assert worst.bound < worst.margin


def test_the_mean_of_all_would_have_passed():
    _, strata = check({"compositional": 40.0, "motion": 22.0, "texture": 40.0})
    assert np.mean([finding.value for finding in strata]) > 25.0


def test_rules_without_a_stratum_limit_ask_nothing():
    profile = make_profile(metrics=PROFILE.metrics[1:2])
    records = [pair(0, stratum="motion"), pair(1, stratum="motion")]
    assert check_strata(profile, records, np.random.default_rng(0)) == ((), ())


def test_a_stratum_with_one_prompt_fails_since_nothing_is_known_of_it():
    records = [pair(0, stratum="motion"), pair(1, stratum="texture"), pair(2, stratum="texture")]
    checks, strata = check_strata(PROFILE, records, np.random.default_rng(0))
    assert {c.name for c in checks if not c.passed} == {
        "psnr_floor_motion",
        "temporal_flickering_difference_motion",
    }
    assert strata[0].stratum == "motion"
