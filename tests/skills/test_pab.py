"""pab: which attentions are computed, by step, kind, layer and branch; and within which memory."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch
from example_prompts import OTHER_PROMPT, PROMPT
from two_call_toy import ToyDenoiser, are_equal, record_calls, run_video, toy_roles

from sol.clock import Clock
from sol.errors import ConfigError, NoEffectError
from sol.models.families import describe_roles
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.cache.attention.pab import PAB, PABConfig
from sol.technique import StackItem

CONFIG = {"self_every": 2, "cross_every": 3, "warmup": 2, "tail": 1}
# Outputs of step 1 are the first that are kept; step 7 is the tail.
SELF_STEPS, CROSS_STEPS = [0, 1, 3, 5, 7], [0, 1, 4, 7]
# Bytes of one attention output of the pocket model at the test's workload: batch, tokens, width.
SITE_BYTES = 2 * 320 * 128 * 4


def computed_steps(module, clock):
    steps = []
    module.register_forward_hook(lambda *_: steps.append(clock.step))
    return steps


def install_and_record(pipeline, config, schedule=None, layer=0):
    """Installs pab; the steps at which attentions 1 and 2 of a block are computed."""
    block = pipeline.transformer.transformer_blocks[layer]
    modules = block.attn1, block.attn2
    applied = install_stack(pipeline, (StackItem("pab", config, schedule or Schedule()),))
    return applied, *(computed_steps(module, applied.clock) for module in modules)


def test_each_kind_is_computed_once_in_its_window(pipeline, workload):
    _, self_steps, cross_steps = install_and_record(pipeline, CONFIG)
    render(pipeline, workload, PROMPT, 0)
    assert self_steps == SELF_STEPS
    assert cross_steps == CROSS_STEPS


def test_evidence_counts_what_was_seen(pipeline, workload):
    applied, *_ = install_and_record(pipeline, CONFIG)
    render(pipeline, workload, PROMPT, 0)
    n_blocks = len(pipeline.transformer.transformer_blocks)
    computed = n_blocks * (len(SELF_STEPS) + len(CROSS_STEPS))
    assert applied.evidence()["pab"].counts == {
        "sites_computed": computed,
        "sites_reused": n_blocks * 2 * 8 - computed,
        "sites_refused": 0,
        "bytes_held": 2 * n_blocks * SITE_BYTES,
    }


@pytest.mark.parametrize(("layer", "expected"), [(2, SELF_STEPS), (3, list(range(8)))])
def test_schedule_limits_the_layers(pipeline, workload, layer, expected):
    _, steps, _ = install_and_record(pipeline, CONFIG, Schedule(layers="first:3"), layer)
    render(pipeline, workload, PROMPT, 0)
    assert steps == expected


def test_schedule_limits_the_steps(pipeline, workload):
    _, self_steps, cross_steps = install_and_record(pipeline, CONFIG, Schedule(steps="4-5"))
    render(pipeline, workload, PROMPT, 0)
    assert self_steps == [0, 1, 2, 3, 5, 6, 7]
    assert cross_steps == [0, 1, 2, 3, 6, 7]


def test_a_schedule_without_layers_is_no_effect(pipeline):
    with pytest.raises(NoEffectError, match="no attention in blocks 'none'"):
        install_and_record(pipeline, CONFIG, Schedule(layers="none"))


def test_the_first_step_cannot_be_left_without_a_second(pipeline):
    with pytest.raises(ConfigError, match="warmup"):
        install_stack(pipeline, (StackItem("pab", {"warmup": 1}),))


def test_branches_are_not_mixed():
    """Each branch of a guided video is what it is in a video of its own."""
    denoiser, clock = ToyDenoiser(), Clock()
    plain = run_video(denoiser, clock)
    calls = record_calls(denoiser.blocks[0].attn2, clock)
    PAB.install(toy_roles(denoiser), PABConfig(**CONFIG), Schedule(), clock)
    both = run_video(denoiser, clock)
    assert calls == [(step, name) for step in CROSS_STEPS for name in ("cond", "uncond")]
    for name in ("cond", "uncond"):
        assert not are_equal(both[name], plain[name])
        assert are_equal(both[name], run_video(denoiser, clock, branches=(name,))[name])


def test_distance_is_counted_in_steps_of_the_clock():
    """Steps that something outside leaves out bring the window's end nearer."""
    denoiser, clock = ToyDenoiser(), Clock()
    calls = record_calls(denoiser.blocks[0].attn2, clock)
    PAB.install(toy_roles(denoiser), PABConfig(**CONFIG), Schedule(), clock)
    run_video(denoiser, clock, branches=("cond",), skip=(2, 3))
    assert [step for step, _ in calls] == [0, 1, 4, 7]


@pytest.mark.parametrize("n_sites", [0, 3, 6])
def test_memory_is_bounded(pipeline, workload, n_sites):
    """One megabyte holds three outputs of the pocket model, and none is none."""
    max_mb = n_sites // 3
    applied, *_ = install_and_record(pipeline, {**CONFIG, "max_mb": max_mb})
    render(pipeline, workload, PROMPT, 0)
    counts = applied.evidence()["pab"].counts
    assert counts["bytes_held"] == n_sites * SITE_BYTES
    assert counts["sites_refused"] > 0
    assert (counts["sites_reused"] > 0) == (n_sites > 0)


def test_outputs_beyond_the_limit_are_not_held_during_a_call_either(pipeline, workload):
    """When the last block is through, the limit's three outputs are alive, and its own."""
    blocks = pipeline.transformer.transformer_blocks
    outputs, alive = [], []

    def watch(_m, _a, output):
        outputs.append(weakref.ref(output))

    for block in blocks:
        block.attn1.register_forward_hook(watch)
        block.attn2.register_forward_hook(watch)
    pipeline.transformer.norm_out.register_forward_hook(
        lambda *_: alive.append(sum(ref() is not None for ref in outputs))
    )
    install_stack(pipeline, (StackItem("pab", {**CONFIG, "max_mb": 1}),))
    render(pipeline, workload, PROMPT, 0)
    assert 3 in alive
    assert max(alive) <= 3


def test_nothing_is_held_when_the_last_step_is_done(pipeline, workload):
    """The decoder needs the memory more."""
    outputs = []
    for block in pipeline.transformer.transformer_blocks:
        block.attn1.register_forward_hook(lambda _m, _a, out: outputs.append(weakref.ref(out)))
    install_stack(pipeline, (StackItem("pab", {**CONFIG, "tail": 0}),))
    render(pipeline, workload, PROMPT, 0)
    gc.collect()
    assert len(outputs) > 0
    assert all(output() is None for output in outputs)


def test_without_guidance_it_works_on_the_one_branch(pipeline, workload):
    _, self_steps, _ = install_and_record(pipeline, CONFIG)
    render(pipeline, workload.with_overrides({"guidance_scale": 1.0}), PROMPT, 0)
    assert self_steps == SELF_STEPS


def test_roles_are_still_found_through_the_stand_in(pipeline):
    """What is installed later still sees the projections inside the attentions."""
    before = describe_roles(pipeline).denoisers[0]
    install_stack(pipeline, (StackItem("pab", CONFIG),))
    after = describe_roles(pipeline).denoisers[0]
    assert after.block_linears == before.block_linears
    assert [site.text_only for site in after.cross_attention] == [
        site.text_only for site in before.cross_attention
    ]


def test_a_compiled_block_reuses_the_same(pocket, workload):
    """Compiled code changes with the plan of a step, and never falls back to eager."""
    eager, compiled = clone_pipeline(pocket.pipeline), clone_pipeline(pocket.pipeline)
    stack = (StackItem("pab", CONFIG), StackItem("text_kv"))
    install_stack(eager, stack)
    applied = install_stack(compiled, (*stack, StackItem("regional_compile")))
    try:
        for seed, prompt in ((0, PROMPT), (1, OTHER_PROMPT)):
            expected = render(eager, workload, prompt, seed).latents
            actual = render(compiled, workload, prompt, seed).latents
            assert np.abs(actual - expected).max() < 1e-4
        applied.require_engaged()
    finally:
        applied.undo()
        torch._dynamo.reset()
