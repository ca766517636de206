from __future__ import annotations

import math
from dataclasses import replace

import pytest

from sol.integrator.compose import choose_diverse, compose
from sol.integrator.constraints import find_conflict
from sol.schedule import Schedule
from sol.search.frontier import frontier_of
from sol.search.records import FrontierPoint, Proposal, Quality, Speed
from sol.skills.registry import TECHNIQUES
from sol.technique import Seam, StackItem


def point(technique: str, speedup: float, psnr: float, **config) -> FrontierPoint:
    skill = TECHNIQUES[technique].skill
    return FrontierPoint(
        Proposal(1, skill, technique, config, "", 1.0),
        Quality(psnr, psnr, 0.9, speedup, 2),
        Speed(speedup, speedup - 0.1, speedup + 0.1, 3, (1.0,), (1.0 / speedup,)),
    )


FRONTIERS = {
    "cache": [
        point("easycache", 1.8, 27.0, threshold=0.2),
        point("easycache", 1.4, 33.0, threshold=0.1),
        point("step_mask", 1.5, 31.0, skip="4-6"),
        point("text_kv", 1.02, 100.0),
    ],
    "quantization": [point("int8_dynamic", 1.4, 36.0, layers="all")],
}


def names(candidate) -> list[str]:
    return [item.technique for item in candidate.stack]


def test_all_admissible_combinations_are_there_the_fastest_first():
    candidates = compose(FRONTIERS, TECHNIQUES, min_psnr=0.0)
    # (none, easycache twice, or step_mask) x text_kv or not x int8 or not, but nothing at all.
    assert len(candidates) == 4 * 2 * 2 - 1
    speeds = [candidate.predicted_speedup for candidate in candidates]
    assert speeds == sorted(speeds, reverse=True)
    assert speeds[0] == pytest.approx(1.8 * 1.02 * 1.4)


def test_two_step_caches_are_never_combined():
    for candidate in compose(FRONTIERS, TECHNIQUES, min_psnr=0.0):
        assert not {"easycache", "step_mask"} <= set(names(candidate))


def test_errors_add_up_in_the_prediction():
    best = next(
        c
        for c in compose(FRONTIERS, TECHNIQUES, min_psnr=0.0)
        if names(c) == ["int8_dynamic", "easycache"] and c.predicted_speedup > 2.5
    )
    mse = 10**-2.7 + 10**-3.6
    assert best.predicted_psnr == pytest.approx(-10 * math.log10(mse))


def test_stacks_predicted_below_the_floor_are_left_out():
    for candidate in compose(FRONTIERS, TECHNIQUES, min_psnr=30.0):
        assert candidate.predicted_psnr >= 30.0


def test_members_stand_in_order_of_installation():
    for candidate in compose(FRONTIERS, TECHNIQUES, min_psnr=0.0):
        phases = [TECHNIQUES[name].phase for name in names(candidate)]
        assert phases == sorted(phases)


def test_nothing_found_composes_to_nothing():
    assert compose({"cache": []}, TECHNIQUES, 0.0) == ()


def test_the_chosen_few_differ_in_their_techniques():
    candidates = compose(FRONTIERS, TECHNIQUES, min_psnr=0.0)
    chosen = choose_diverse(candidates, 5)
    assert len({frozenset(names(c)) for c in chosen}) == 5
    assert chosen[0] == candidates[0]
    assert len(choose_diverse(candidates, 99)) == len(candidates)


@pytest.mark.parametrize(
    ("first", "second", "conflict"),
    [
        ("all", "all", True),
        ("2-8", "9-20", False),
        ("2-8", "8-20", True),
        ("first:3", "3-20", False),
        ("first:4", "3-20", True),
        ("2-8", "last:3", True),
        ("none", "all", True),
    ],
)
def test_an_exclusive_seam_can_be_shared_only_by_disjoint_schedules(first, second, conflict):
    members = [
        (TECHNIQUES["easycache"], StackItem("easycache", {}, Schedule(steps=first))),
        (TECHNIQUES["step_mask"], StackItem("step_mask", {}, Schedule(steps=second))),
    ]
    assert (find_conflict(members) is not None) is conflict


def test_the_frontier_keeps_what_nothing_beats_in_both():
    points = [
        point("easycache", 2.0, 25.0),
        point("easycache", 1.9, 24.0),
        point("easycache", 1.5, 30.0),
        point("easycache", 1.5, 29.0),
        point("easycache", 1.1, 35.0),
    ]
    kept = [(p.speed.median, p.quality.psnr) for p in frontier_of(points)]
    assert kept == [(2.0, 25.0), (1.5, 30.0), (1.1, 35.0)]


def test_a_dozen_techniques_that_exclude_one_another_compose_quickly():
    """All combinations of their settings would be some 10^12."""
    rivals = {
        f"skip_{i}": replace(TECHNIQUES["easycache"], name=f"skip_{i}") for i in range(12)
    } | {"text_kv": TECHNIQUES["text_kv"]}
    points = [
        FrontierPoint(
            Proposal(1, "cache", name, {"threshold": 0.1 * n}, "", 1.0),
            Quality(40.0, 40.0, 0.9, 1.2, 2),
            Speed(1.2, 1.1, 1.3, 3, (1.0,), (1.0,)),
        )
        for name in rivals
        for n in range(1, 10)
        if name != "text_kv"
    ]
    points.append(point("text_kv", 1.02, 100.0))
    candidates = compose({"cache": points}, rivals, 30.0)
    assert len(candidates) == 12 * 9 * 2 + 1


@pytest.mark.parametrize(
    "name", ["cache_dit", "diffusers_first_block", "diffusers_mag", "diffusers_taylorseer"]
)
def test_what_splits_the_batch_does_not_go_with_state_of_whole_batches(name):
    def members(*names):
        return [(TECHNIQUES[name], StackItem(name)) for name in names]

    reason = find_conflict(members("cfg_reuse", name))
    assert reason == f"cfg_reuse computes half a batch, which the state of {name} does not fit"
    assert find_conflict(members("cfg_reuse", "first_block")) is None
    assert find_conflict(members("pab", name)) is None


DECIDING_INSIDE = (
    "first_block",
    "teacache",
    "magcache",
    "cache_dit",
    "rotary_tables",
    "modulation",
)


def find_conflict_of(*names):
    return find_conflict([(TECHNIQUES[name], StackItem(name)) for name in names])


@pytest.mark.parametrize("name", DECIDING_INSIDE)
def test_what_decides_inside_a_call_does_not_go_with_whole_calls_compiled(name):
    assert f"{name} decides about the" in find_conflict_of("full_compile", name)
    assert f"{name} decides about the" in find_conflict_of(name, "cuda_graphs")
    assert find_conflict_of("regional_compile", name) is None


@pytest.mark.parametrize("name", ["text_kv", "prompt_projection", "pab"])
def test_what_is_kept_inside_a_call_is_overwritten_by_a_cuda_graph(name):
    assert f"{name} decides about the" in find_conflict_of("cuda_graphs", name)
    assert find_conflict_of("full_compile", name) is None


@pytest.mark.parametrize("name", ["step_mask", "easycache", "cfg_reuse", "int8_rows"])
def test_what_stands_around_calls_or_in_its_layers_goes_with_any_compilation(name):
    for compiling in ("regional_compile", "full_compile", "cuda_graphs"):
        assert find_conflict_of(compiling, name) is None


def test_two_techniques_do_not_compile_one_region():
    reason = find_conflict_of("regional_compile", "full_compile")
    assert reason == "regional_compile and full_compile both decide the compile region"


def test_stacks_whose_members_spend_the_same_redundancy_come_last():
    frontiers = {
        "cache": [
            point("planned", 1.9, 50.0, skip="3"),
            point("pab", 1.3, 45.0),
            point("text_kv", 1.1, 100.0),
        ],
        "quantization": [point("int8_dynamic", 1.4, 48.0, layers="all")],
    }
    candidates = compose(frontiers, TECHNIQUES, min_psnr=0.0)
    overlaps = [{"planned", "pab"} <= set(names(candidate)) for candidate in candidates]
    assert overlaps == sorted(overlaps)
    assert set(names(candidates[0])) == {"planned", "text_kv", "int8_dynamic"}
    assert any(overlaps)
    assert max(c.predicted_speedup for c in candidates) > candidates[0].predicted_speedup


SPARSE = [name for name, t in TECHNIQUES.items() if t.skill == "sparse_attention"]


@pytest.mark.parametrize("name", SPARSE)
def test_a_sparse_attention_owns_the_dispatch(name):
    for other in ("attention_backend", *(s for s in SPARSE if s != name)):
        assert "both decide the attention backend" in find_conflict_of(name, other)
    for compiling in ("regional_compile", "full_compile"):
        assert find_conflict_of(compiling, name) is None
    assert "attention pattern" in find_conflict_of("cuda_graphs", name)


KEEPING_TOKENS = (
    "pab",
    "cache_dit",
    "diffusers_first_block",
    "diffusers_mag",
    "diffusers_taylorseer",
    "teacache",
    "magcache",
    "first_block",
    "shared_prefix",
)


@pytest.mark.parametrize("name", KEEPING_TOKENS)
def test_what_keeps_outputs_inside_of_calls_does_not_go_with_fewer_tokens(name):
    """What was kept for other tokens does not fit, or fits and is wrong."""
    for pruning in ("token_prune", "tome"):
        assert f"{pruning} changes the token set" in find_conflict_of(name, pruning) or (
            f"{pruning} decides about the token set" in find_conflict_of(name, pruning)
        )
    assert find_conflict_of(name, "dvg") is None


@pytest.mark.parametrize(
    "name", ["step_mask", "easycache", "planned", "regional_compile", "text_kv"]
)
def test_what_stands_around_calls_goes_with_fewer_tokens(name):
    assert find_conflict_of(name, "stale_tokens") is None


@pytest.mark.parametrize("name", SPARSE)
def test_what_relies_on_the_layout_of_tokens_does_not_go_with_what_changes_it(name):
    prune = replace(
        TECHNIQUES["easycache"],
        name="prune",
        writes=frozenset({Seam.TOKEN_SET}),
        reads=frozenset(),
    )

    def conflict(steps, other_steps):
        return find_conflict(
            [
                (TECHNIQUES[name], StackItem(name, {}, Schedule(steps=steps))),
                (prune, StackItem("prune", {}, Schedule(steps=other_steps))),
            ]
        )

    assert conflict("all", "4-9") == f"prune changes the token set, on which {name} relies"
    assert conflict("0-3", "4-9") is None
