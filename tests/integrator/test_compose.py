"""Which stacks are composed of the settings that were measured."""

from __future__ import annotations

from dataclasses import replace

import pytest
from stack_examples import NO_FLOOR, SHARES, effect, model, quality_of, speed_of

from sol.integrator.compose import compose, is_admissible, make_candidate
from sol.integrator.prediction import StackModel
from sol.search.records import QualityFloor
from sol.skills.registry import TECHNIQUES

EASYCACHE = effect("easycache", 1.8, 27.0, computed=0.5, threshold=0.2)
GENTLE = effect("easycache", 1.4, 33.0, computed=0.7, threshold=0.1)
STEP_MASK = effect("step_mask", 1.5, 31.0, computed=0.6, skip="4-6")
TEXT_KV = effect("text_kv", 1.02, 100.0)
INT8 = effect("int8_dynamic", 1.4, 36.0, layers="all")
EFFECTS = {
    "easycache": [EASYCACHE, GENTLE],
    "step_mask": [STEP_MASK],
    "text_kv": [TEXT_KV],
    "int8_dynamic": [INT8],
}


def composed(floor=NO_FLOOR, effects=EFFECTS):
    return compose(effects, TECHNIQUES, model(), floor)


def names(candidate) -> list[str]:
    return [item.technique for item in candidate.stack]


def test_all_admissible_combinations_are_there_the_fastest_first():
    candidates = composed()
    # (none, easycache twice, or step_mask) x text_kv or not x int8 or not, but nothing at all.
    assert len(candidates) == len({c.key for c in candidates}) == 4 * 2 * 2 - 1
    speeds = [candidate.predicted_speedup for candidate in candidates]
    assert speeds == sorted(speeds, reverse=True)
    assert set(names(candidates[0])) == {"easycache", "text_kv", "int8_dynamic"}


def test_two_step_caches_are_never_combined():
    for candidate in composed():
        assert not {"easycache", "step_mask"} <= set(names(candidate))


def test_a_technique_stands_in_a_stack_once():
    for candidate in composed():
        assert len(set(names(candidate))) == len(candidate.members)


def test_stacks_that_hardly_can_clear_the_floor_are_left_out():
    floor = QualityFloor(30.0, 20.0)
    candidates = composed(floor)
    assert candidates
    assert all(c.prediction.chance_of(floor) >= 0.05 for c in candidates)
    left_out = make_candidate([EASYCACHE], TECHNIQUES, model())
    assert not is_admissible(left_out, TECHNIQUES, floor)
    assert left_out.key not in {c.key for c in candidates}


def test_what_may_still_clear_the_floor_is_kept():
    """36 dB and 33 dB together are 31.2 dB, and not known to a dB."""
    both = make_candidate([INT8, GENTLE], TECHNIQUES, model())
    assert both.predicted_psnr == pytest.approx(31.24, abs=0.01)
    assert is_admissible(both, TECHNIQUES, QualityFloor(32.0, 20.0))
    assert not is_admissible(both, TECHNIQUES, QualityFloor(38.0, 20.0))


def test_members_stand_in_order_of_installation():
    for candidate in composed():
        phases = [TECHNIQUES[name].phase for name in names(candidate)]
        assert phases == sorted(phases)


def test_a_stack_is_the_same_whatever_order_its_members_were_given_in():
    there = make_candidate([INT8, TEXT_KV, GENTLE], TECHNIQUES, model())
    back = make_candidate([GENTLE, TEXT_KV, INT8], TECHNIQUES, model())
    assert there == back
    assert there.label == "int8_dynamic layers=all + text_kv + easycache threshold=0.1"


def test_a_candidate_says_what_it_should_do():
    candidate = make_candidate([EASYCACHE], TECHNIQUES, model())
    assert candidate.predicted_speedup == pytest.approx(1.8)
    assert candidate.speedup_low < 1.8 < candidate.speedup_high
    assert candidate.stack == (EASYCACHE.item,)


def test_what_was_learned_changes_the_order():
    """Slow together: alone the cache is then better."""
    learned = model()
    assert {"easycache", "int8_dynamic"} <= set(names(composed()[0]))
    for _ in range(3):
        learned.learn([INT8, EASYCACHE], quality_of(26.5), speed_of(1.2))
    best = compose(EFFECTS, TECHNIQUES, learned, NO_FLOOR)[0]
    assert not {"easycache", "int8_dynamic"} <= set(names(best))


@pytest.mark.parametrize("effects", [{}, {"easycache": []}])
def test_nothing_found_composes_to_nothing(effects):
    assert composed(effects=effects) == ()


def test_a_dozen_techniques_that_exclude_one_another_compose_quickly():
    """All combinations of their settings would be some 10^12."""
    rivals = {f"skip_{i}": replace(TECHNIQUES["easycache"], name=f"skip_{i}") for i in range(12)}
    effects = {
        name: [effect(name, 1.2, 40.0, threshold=0.1 * n) for n in range(1, 10)] for name in rivals
    }
    effects["text_kv"] = [TEXT_KV]
    techniques = {**rivals, "text_kv": TECHNIQUES["text_kv"]}
    candidates = compose(effects, techniques, StackModel(SHARES, techniques), NO_FLOOR)
    assert len(candidates) == 12 * 9 * 2 + 1


def test_of_many_techniques_that_go_together_the_fastest_stacks_are_found():
    """All combinations would be 2^25."""
    techniques = {
        f"exact_{i:02}": replace(TECHNIQUES["text_kv"], name=f"exact_{i:02}") for i in range(25)
    }
    effects = {name: [effect(name, 1.001 + 0.001 * i, 100.0)] for i, name in enumerate(techniques)}
    candidates = compose(effects, techniques, StackModel(SHARES, techniques), NO_FLOOR)
    assert len(candidates[0].members) == 25
    assert len(candidates) <= 401 * 25
