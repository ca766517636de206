"""modulation: one row a step, kept as long as the schedule and the weights stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from example_prompts import OTHER_PROMPT, PROMPT
from torch import nn
from two_call_toy import ToyDenoiser, are_equal, record_calls, run_video, toy_roles

from sol.clock import Clock
from sol.errors import NoEffectError
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.cache.exact.modulation import MODULATION, ModulationConfig
from sol.technique import StackItem


@pytest.fixture
def calls(pipeline):
    """Calls that really computed the embedding, so far."""
    seen = []
    pipeline.transformer.time_embed.linear.register_forward_hook(lambda *_: seen.append(1))
    return seen


def test_a_second_video_of_the_schedule_computes_nothing(
    pipeline, workload, baseline, other_baseline, calls
):
    install_stack(pipeline, (StackItem("modulation"),))
    assert np.array_equal(render(pipeline, workload, PROMPT, 0).latents, baseline.latents)
    assert len(calls) == 8
    other = render(pipeline, workload, OTHER_PROMPT, 1)
    assert np.array_equal(other.latents, other_baseline.latents)
    assert len(calls) == 8


@pytest.mark.parametrize("change", [{"steps": 5}, {"guidance_scale": 1.0}])
def test_another_schedule_or_batch_is_computed(pipeline, pocket, workload, calls, change):
    changed = workload.with_overrides(change)
    install_stack(pipeline, (StackItem("modulation"),))
    render(pipeline, workload, PROMPT, 0)
    actual = render(pipeline, changed, PROMPT, 0)
    assert len(calls) == 8 + changed.steps
    expected = render(clone_pipeline(pocket.pipeline), changed, PROMPT, 0)
    assert np.array_equal(actual.latents, expected.latents)


def test_other_weights_are_computed(pipeline, pocket, workload):
    install_stack(pipeline, (StackItem("modulation"),))
    render(pipeline, workload, PROMPT, 0)
    expected = clone_pipeline(pocket.pipeline)
    for changed in (pipeline, expected):
        linear = changed.transformer.time_embed.linear
        linear.weight = nn.Parameter(linear.weight.detach() * 1.5)
    assert np.array_equal(
        render(pipeline, workload, PROMPT, 0).latents,
        render(expected, workload, PROMPT, 0).latents,
    )


def test_what_does_not_fit_is_computed(pipeline, workload, baseline, calls):
    """A timestep for each token, as image-to-video has it: a row of 3 MB, and 1 MB allowed."""
    transformer = pipeline.transformer
    applied = install_stack(pipeline, (StackItem("modulation", {"max_mb": 1}),))
    applied.clock.begin_video(8)
    timesteps = torch.full((1000,), 500.0)
    for _ in range(2):
        transformer.time_embed(timesteps, batch_size=1, hidden_dtype=torch.float32)
    assert len(calls) == 2
    assert applied.evidence()["modulation"].counts["bytes_held"] == 0
    assert not applied.evidence()["modulation"].engaged


def test_a_second_video_without_reuse_is_no_effect(pipeline, workload):
    with (
        pytest.raises(NoEffectError, match="modulation never engaged in 2"),
        install_stack(pipeline, (StackItem("modulation"),)),
    ):
        for steps in (8, 5):
            render(pipeline, workload.with_overrides({"steps": steps}), PROMPT, 0)


def test_two_call_guidance_reuses_from_the_first_step_on():
    denoiser, clock = ToyDenoiser(), Clock()
    expected = run_video(denoiser, clock)
    calls = record_calls(denoiser.embed[0], clock)
    MODULATION.install(toy_roles(denoiser), ModulationConfig(), Schedule(), clock)
    actual = run_video(denoiser, clock)
    assert are_equal(actual["cond"], expected["cond"])
    assert are_equal(actual["uncond"], expected["uncond"])
    assert calls == [(step, "cond") for step in range(8)]
