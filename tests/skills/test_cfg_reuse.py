"""cfg_reuse: which branch is computed when, and what stands for the one that is not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from example_prompts import PROMPT
from two_call_toy import ToyDenoiser, are_equal, record_calls, run_video, toy_roles

from sol.clock import Clock
from sol.errors import NoEffectError
from sol.models.families import describe_roles
from sol.runtime.applied import install_stack
from sol.runtime.render import render
from sol.schedule import Schedule
from sol.skills.cache.guidance.cfg_reuse import CFG_REUSE, CFGReuseConfig
from sol.skills.cache.guidance.conditional_half import ConditionalHalf
from sol.skills.cache.guidance.frequency_bands import weight_bands
from sol.technique import StackItem

CONFIG = {"every": 3, "mode": "difference", "warmup": 2, "tail": 1}
# Both branches: the warm-up, every third step, the tail.
FULL_STEPS = [0, 1, 4, 7]


def record_batches(pipeline, clock):
    """(step, rows, branch) of each call of the denoiser's first block."""
    calls = []
    pipeline.transformer.transformer_blocks[0].register_forward_hook(
        lambda _m, _a, out: calls.append((clock.step, out.shape[0], clock.branch))
    )
    return calls


def install_toy(**config):
    denoiser, clock = ToyDenoiser(), Clock()
    plain = run_video(denoiser, clock)
    calls = record_calls(denoiser.project, clock)
    installed = CFG_REUSE.install(
        toy_roles(denoiser), CFGReuseConfig(**{**CONFIG, **config}), Schedule(), clock
    )
    return denoiser, clock, plain, calls, installed


def test_batched_guidance_computes_the_conditional_half(pipeline, workload):
    applied = install_stack(pipeline, (StackItem("cfg_reuse", CONFIG),))
    calls = record_batches(pipeline, applied.clock)
    render(pipeline, workload, PROMPT, 0)
    assert calls == [
        (step, 2, "both") if step in FULL_STEPS else (step, 1, "cond") for step in range(8)
    ]
    assert applied.clock.branch == "both"
    latent_bytes = 320 * 16 * 4
    assert applied.evidence()["cfg_reuse"].counts == {
        "branches_computed": 4,
        "branches_reused": 4,
        "bytes_held": latent_bytes,
    }


def test_batched_estimate_is_the_conditional_output_and_the_last_difference(pipeline, workload):
    outputs = []
    pipeline.transformer.register_forward_hook(lambda _m, _a, out: outputs.append(out[0].chunk(2)))
    install_stack(pipeline, (StackItem("cfg_reuse", CONFIG),))
    render(pipeline, workload, PROMPT, 0)
    for step, last_full in ((2, 1), (3, 1), (5, 4), (6, 4)):
        (uncond, cond), (last_uncond, last_cond) = outputs[step], outputs[last_full]
        assert torch.equal(uncond, cond + (last_uncond - last_cond))


def test_the_conditional_half_is_computed_from_its_own_text(pipeline, workload, baseline):
    """Until the first estimate the run is the baseline's: its conditional output is as well."""

    def run(stack):
        outputs = []
        hook = pipeline.transformer.register_forward_hook(lambda _m, _a, o: outputs.append(o[0]))
        applied = install_stack(pipeline, stack)
        render(pipeline, workload, PROMPT, 0)
        applied.undo()
        hook.remove()
        return outputs[2].chunk(2)

    uncond, cond = run((StackItem("cfg_reuse", CONFIG),))
    plain_uncond, plain_cond = run(())
    assert torch.allclose(cond, plain_cond, atol=1e-4)
    assert not torch.allclose(plain_uncond, plain_cond, atol=1e-2)
    assert not torch.equal(uncond, plain_uncond)


def test_two_call_guidance_leaves_out_the_unconditional_call():
    denoiser, clock, plain, calls, installed = install_toy()
    actual = run_video(denoiser, clock)
    assert [step for step, branch in calls if branch == "cond"] == list(range(8))
    assert [step for step, branch in calls if branch == "uncond"] == FULL_STEPS
    assert are_equal(actual["cond"], plain["cond"])
    for step, last_full in ((2, 1), (3, 1), (5, 4), (6, 4)):
        difference = plain["uncond"][last_full] - plain["cond"][last_full]
        assert torch.equal(actual["uncond"][step], plain["cond"][step] + difference)
    assert installed.evidence().counts["branches_reused"] == 4


def test_gains_weigh_low_frequencies_early_and_high_ones_late():
    denoiser, clock, plain, *_ = install_toy(mode="spectral", low_gain=1.5, high_gain=0.5)
    actual = run_video(denoiser, clock)
    for step, last_full, gains in ((3, 1, (1.5, 1.0)), (5, 4, (1.0, 0.5))):
        difference = plain["uncond"][last_full] - plain["cond"][last_full]
        expected = plain["cond"][step] + weight_bands(difference, *gains)
        assert torch.equal(actual["uncond"][step], expected)
        assert not torch.equal(expected, plain["cond"][step] + difference)


def test_tokens_are_weighted_on_their_grid(pipeline, workload):
    """A frame's mean is a low frequency: late gains of high ones leave every frame's mean."""
    outputs = []
    pipeline.transformer.register_forward_hook(lambda _m, _a, out: outputs.append(out[0].chunk(2)))
    config = {**CONFIG, "mode": "spectral", "low_gain": 5.0, "high_gain": 3.0}
    install_stack(pipeline, (StackItem("cfg_reuse", config),))
    render(pipeline, workload, PROMPT, 0)
    (uncond, cond), (last_uncond, last_cond) = outputs[5], outputs[4]
    n_frames = 5
    added = (uncond - cond).unflatten(1, (n_frames, -1))
    difference = (last_uncond - last_cond).unflatten(1, (n_frames, -1))
    assert torch.allclose(added.mean(2), difference.mean(2), atol=1e-5)
    assert added.var(2).mean() > 2 * difference.var(2).mean()


def test_a_grid_comes_back_as_the_tokens_that_it_was(pipeline):
    grid = describe_roles(pipeline).denoisers[0].grid
    tokens = torch.arange(2 * 24 * 5).reshape(2, 24, 5)
    video = grid.to_grid(tokens, (), {"num_frames": 2, "height": 3, "width": 4})
    assert video.shape == (2, 5, 2, 3, 4)
    assert torch.equal(video[1, :, 1, 2, 3], tokens[1, -1])
    assert torch.equal(video[1, :, 0, 0, 1], tokens[1, 1])
    assert torch.equal(grid.from_grid(video), tokens)


@pytest.mark.parametrize("size", [(8, 8), (7, 12), (5, 9), (1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bands_share_out_the_whole(size, dtype):
    video = torch.randn(1, 2, 3, *size, generator=torch.Generator().manual_seed(0)).to(dtype)
    low, high = weight_bands(video, 1.0, 0.0), weight_bands(video, 0.0, 1.0)
    assert low.dtype == dtype
    assert torch.allclose(low + high, video, atol=1e-5 if dtype == torch.float32 else 0.05)
    assert torch.equal(weight_bands(video, 1.0, 1.0), video)


def test_a_flat_picture_is_low_and_a_checkerboard_is_high():
    flat = torch.ones(1, 1, 1, 8, 8)
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    board = board.expand(1, 1, 1, 8, 8)
    assert torch.allclose(weight_bands(flat + board, 3.0, 0.0), 3 * flat, atol=1e-6)
    assert torch.allclose(weight_bands(flat + board, 0.0, 2.0), 2 * board, atol=1e-6)


def test_a_skipped_step_ages_the_difference(pipeline, workload):
    """A step cache outside leaves out step 4, the next full one: step 5 computes both."""
    stack = (StackItem("cfg_reuse", CONFIG), StackItem("step_mask", {"skip": "4"}))
    applied = install_stack(pipeline, stack)
    calls = record_batches(pipeline, applied.clock)
    render(pipeline, workload, PROMPT, 0)
    assert [(step, rows) for step, rows, _ in calls] == [
        (0, 2), (1, 2), (2, 1), (3, 1), (5, 2), (6, 1), (7, 2)
    ]  # fmt: skip


@pytest.mark.parametrize("skip", [(1, 4), (0, 1, 2)])
def test_two_calls_with_skipped_steps(skip):
    denoiser, clock, plain, calls, _ = install_toy()
    actual = run_video(denoiser, clock, skip=skip)
    steps = [step for step in range(8) if step not in skip]
    full = {step for step, branch in calls if branch == "uncond"}
    last_full = None
    for index, step in enumerate(steps):
        if step in full:
            last_full = step
            assert torch.equal(actual["uncond"][index], plain["uncond"][step])
        else:
            assert step - last_full < 3
            difference = plain["uncond"][last_full] - plain["cond"][last_full]
            assert torch.equal(actual["uncond"][index], plain["cond"][step] + difference)


def test_without_guidance_it_never_engages(pipeline, workload):
    unguided = workload.with_overrides({"guidance_scale": 1.0})
    expected = render(pipeline, unguided, PROMPT, 0)
    with (
        pytest.raises(NoEffectError, match="cfg_reuse never engaged"),
        install_stack(pipeline, (StackItem("cfg_reuse", CONFIG),)),
    ):
        actual = render(pipeline, unguided, PROMPT, 0)
    assert np.array_equal(actual.latents, expected.latents)


def test_text_keys_and_values_are_computed_once_for_each_batch(pipeline, workload):
    """The half's text is recognised from step to step: one computation whole, one of the half."""
    seen = []
    to_k = pipeline.transformer.transformer_blocks[0].attn2.to_k
    to_k.register_forward_hook(lambda _m, _a, out: seen.append(out.shape[0]))
    install_stack(pipeline, (StackItem("cfg_reuse", CONFIG), StackItem("text_kv")))
    render(pipeline, workload, PROMPT, 0)
    assert seen == [2, 1]


def test_every_doubled_argument_is_halved_and_no_other():
    half = ConditionalHalf()
    text, scalar, other = torch.arange(8.0).reshape(4, 2), torch.tensor(3.0), torch.ones(3, 2)
    kwargs = {"text": text, "nested": {"deep": [(text + 1, scalar)]}, "other": other, "n": 4}
    args, halved = half.of((text[:, :1],), kwargs, n_batch=4)
    assert torch.equal(args[0], text[2:, :1])
    assert torch.equal(halved["text"], text[2:])
    assert torch.equal(halved["nested"]["deep"][0][0], text[2:] + 1)
    assert halved["nested"]["deep"][0][1] is scalar
    assert halved["other"] is other
    assert halved["n"] == 4
    assert half.of((), kwargs, n_batch=4)[1]["text"] is halved["text"]
    text += 1
    assert half.of((), kwargs, n_batch=4)[1]["text"] is not halved["text"]
