from __future__ import annotations

import numpy as np
import pytest
from example_prompts import PROMPT
from tiny_models import build_tiny_experts, tiny_workload

import sol
from sol.errors import ConfigError, ConflictError, UnknownNameError
from sol.runtime.applied import in_order, install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import render
from sol.technique import StackItem


def test_a_stack_is_installed_by_phase_whatever_its_order():
    stack = (StackItem("easycache"), StackItem("text_kv"), StackItem("int8_dynamic"))
    names = [item.technique for item in in_order(stack)]
    assert names == ["int8_dynamic", "text_kv", "easycache"]


def test_techniques_of_a_stack_work_together(pipeline, workload, baseline):
    stack = [
        {"technique": "int8_dynamic", "config": {"layers": "all"}},
        {"technique": "text_kv"},
        {"technique": "step_mask", "config": {"skip": "4"}},
    ]
    applied = sol.apply(pipeline, stack)
    render(pipeline, workload, PROMPT, 0)
    evidence = applied.evidence()
    n_blocks = len(pipeline.transformer.transformer_blocks)
    steps = evidence["step_mask"].counts
    assert (steps["calls_computed"], steps["calls_skipped"]) == (7, 1)
    assert evidence["text_kv"].counts["projections_reused"] == 3 * n_blocks * 6
    assert evidence["int8_dynamic"].counts["quantized_calls"] == 7
    applied.undo()
    assert np.array_equal(render(pipeline, workload, PROMPT, 0).latents, baseline.latents)


def test_a_failure_half_way_is_undone(pipeline):
    before = fingerprint_pipeline(pipeline)
    stack = (
        StackItem("int8_dynamic", {"layers": "all"}),
        StackItem("easycache", {"threshold": -1.0}),
    )
    with pytest.raises(ConfigError, match="threshold"):
        install_stack(pipeline, stack)
    assert fingerprint_pipeline(pipeline) == before
    install_stack(pipeline, stack[:1]).undo()


def test_undo_twice_is_harmless(pipeline):
    before = fingerprint_pipeline(pipeline)
    applied = install_stack(pipeline, (StackItem("text_kv"),))
    applied.undo()
    applied.undo()
    assert fingerprint_pipeline(pipeline) == before


@pytest.mark.parametrize(
    ("stack", "error", "message"),
    [
        ([{"technique": "easycach"}], UnknownNameError, "Known: easycache"),
        ([{"technique": "easycache", "confg": {}}], ConfigError, "confg: no such key"),
        ([{"technique": "easycache", "config": {"threshold": "0.1"}}], ConfigError, "threshold"),
        ([{"technique": "text_kv", "schedule": {"steps": "1-2"}}], ConfigError, "limited to some"),
        (["easycache"], ConfigError, "Stack"),
        ([{"technique": "text_kv"}, {"technique": "text_kv"}], ConflictError, "twice"),
        (
            [{"technique": "easycache"}, {"technique": "step_mask", "config": {"skip": "3"}}],
            ConflictError,
            "both decide the step output",
        ),
    ],
)
def test_a_bad_stack_is_refused_and_nothing_is_touched(pipeline, stack, error, message):
    before = fingerprint_pipeline(pipeline)
    with pytest.raises(error, match=message):
        sol.apply(pipeline, stack)
    assert fingerprint_pipeline(pipeline) == before


def test_a_clone_shares_weights_and_nothing_else(pocket, workload, baseline):
    clone = clone_pipeline(pocket.pipeline)
    ours, theirs = pocket.pipeline.transformer, clone.transformer
    assert ours is not theirs
    assert pocket.pipeline.scheduler is not clone.scheduler
    shared = zip(ours.parameters(), theirs.parameters(), strict=True)
    assert all(a.data_ptr() == b.data_ptr() for a, b in shared)
    before = fingerprint_pipeline(pocket.pipeline)
    install_stack(clone, (StackItem("int8_dynamic"), StackItem("text_kv")))
    assert fingerprint_pipeline(pocket.pipeline) == before


def test_the_fingerprint_sees_a_weight_written_in_place(pipeline):
    import copy

    import torch

    pipeline.vae = copy.deepcopy(pipeline.vae)
    before = fingerprint_pipeline(pipeline)
    with torch.no_grad():
        next(pipeline.vae.parameters()).add_(1.0)
    assert fingerprint_pipeline(pipeline) != before


def test_a_clone_of_two_experts_changes_over_where_the_original_does():
    original, workload = build_tiny_experts(), tiny_workload("wan")
    clone = clone_pipeline(original)
    calls = [0]

    def count(*_):
        calls[0] += 1

    clone.transformer_2.register_forward_hook(count)
    latents = [render(each, workload, PROMPT, 0).latents for each in (original, clone)]
    assert np.array_equal(*latents)
    assert calls[0] > 0
