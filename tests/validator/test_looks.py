import pytest
from gate_profiles import METRICS, TAIL, make_profile

from sol.validator.looks import plan_confirmation, plan_screening


def test_a_single_candidate_at_a_single_look_has_the_profiles_confidence():
    (plan,) = plan_confirmation(make_profile(looks=(8,)), 0)
    assert (plan.n_prompts, plan.strictness.confidence, plan.is_last) == (8, 0.95, True)


def test_every_look_of_several_is_stricter_than_one_alone():
    first, last = plan_confirmation(make_profile(looks=(4, 8)), 0)
    assert (first.is_last, last.is_last) == (False, True)
    assert first.strictness.confidence > last.strictness.confidence > 0.95
    assert first.final == last.strictness


def test_holm_leaves_more_error_to_those_that_follow_an_accepted_one():
    profile = make_profile(looks=(8,), candidates=3)
    confidences = [plan_confirmation(profile, k)[0].strictness.confidence for k in range(3)]
    assert confidences == pytest.approx([1 - 0.05 / 3, 1 - 0.05 / 2, 0.95])


def test_when_all_candidates_are_accepted_none_is_left():
    with pytest.raises(ValueError, match="1 of 1 candidates"):
        plan_confirmation(make_profile(), 1)


def test_shares_are_exact_in_the_confirmation_and_as_they_are_in_the_screening():
    profile = make_profile((*METRICS, TAIL), looks=(8, 16))
    assert plan_screening(profile).strictness.allowed_failures == 1
    allowed = [p.strictness.allowed_failures for p in plan_confirmation(profile, 0)]
    assert allowed == [None, 0]
