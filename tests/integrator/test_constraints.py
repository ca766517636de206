"""Which techniques can run together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sol.integrator.constraints import find_conflict
from sol.schedule import Schedule
from sol.skills.registry import TECHNIQUES
from sol.technique import Seam, StackItem


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


def test_a_technique_stands_in_a_stack_once():
    assert find_conflict_of("text_kv", "text_kv") == "text_kv is in the stack twice"
    assert find_conflict_of("text_kv", "rotary_tables") is None
