"""Effective guidance of runs whose guidance is known, for guidance in one call and in two."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from example_prompts import OTHER_PROMPT, PROMPT
from tiny_models import FAMILIES, build_tiny, build_tiny_experts, tiny_workload
from two_call_toy import ToyDenoiser, toy_roles

from sol.clock import Clock
from sol.measure.guidance import (
    GuidanceError,
    Unmeasurable,
    measure_effective_guidance,
)
from sol.measure.guided_steps import record_steps
from sol.models.families import describe_roles
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import denoise
from sol.search.effective_guidance import compare_guidance
from sol.technique import StackItem

N_STEPS = 6
PAIR = (PROMPT, 0)


# LTX-2 makes sound as well: see `test_beside_sound_there_is_no_measure`.
@pytest.fixture(scope="module", params=(*(f for f in FAMILIES if f != "ltx2"), "wan experts"))
def target(request):
    """A pipeline, and its workload of six steps at a guidance scale of 3."""
    experts = request.param == "wan experts"
    family = "wan" if experts else request.param
    pipeline = build_tiny_experts() if experts else build_tiny(family)
    return pipeline, tiny_workload(family).with_overrides({"steps": N_STEPS})


@pytest.fixture(scope="module")
def ltx():
    return build_tiny("ltx"), tiny_workload("ltx").with_overrides({"steps": N_STEPS})


def guidance_of(target, overrides=None, run=None):
    pipeline, workload = target
    run = clone_pipeline(pipeline) if run is None else run
    changed = workload.with_overrides(overrides or {})
    return compare_guidance(pipeline, workload, run, changed, PAIR)


def test_beside_sound_there_is_no_measure():
    guidance = guidance_of((build_tiny("ltx2"), tiny_workload("ltx2")))
    assert isinstance(guidance, Unmeasurable)
    assert "sound beside the video" in guidance.reason


def weigh(target, scale):
    """3 of a scale of 3, but for a pipeline whose scale is counted from the conditional branch."""
    return describe_roles(target[0]).guidance_weight(scale)


def test_the_baseline_against_itself_is_the_guidance_scale(target):
    guidance = guidance_of(target)
    assert guidance.scale == pytest.approx(weigh(target, 3.0), abs=1e-4)
    assert guidance.by_step == pytest.approx([weigh(target, 3.0)] * N_STEPS, abs=1e-4)
    assert guidance.residual < 1e-5
    assert guidance.ratio == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("overrides", "scale", "n_steps"),
    [
        ({"guidance_scale": 3.6}, 3.6, N_STEPS),
        ({"guidance_scale": 2.4}, 2.4, N_STEPS),
        ({"guidance_scale": 1.0}, 1.0, N_STEPS),
        ({"steps": 4}, 3.0, 4),
    ],
    ids=["x1.2", "x0.8", "off", "fewer steps"],
)
def test_another_workload_has_its_own_guidance(target, overrides, scale, n_steps):
    guidance = guidance_of(target, overrides)
    ratio = weigh(target, scale) / weigh(target, 3.0)
    assert guidance.ratio == pytest.approx(ratio, abs=1e-4)
    assert len(guidance.by_step) == n_steps
    assert guidance.residual < 1e-4


def test_another_negative_prompt_is_no_guidance_of_the_baseline(ltx):
    guidance = guidance_of(ltx, {"negative_prompt": "a small blue square"})
    assert guidance.residual > 1e-3


def test_a_run_with_another_prompt_is_measured_along_this_one(ltx):
    pipeline, workload = ltx
    run = clone_pipeline(pipeline)
    guidance = compare_guidance(pipeline, workload, run, workload, PAIR, OTHER_PROMPT)
    assert abs(guidance.ratio - 1.0) > 1e-2
    assert guidance.residual > 1e-2


def test_a_cache_is_measured_at_the_steps_that_it_leaves_out(target):
    run = clone_pipeline(target[0])
    install_stack(run, (StackItem("step_mask", {"skip": str(N_STEPS - 1), "reuse": "output"}),))
    *computed, reused = guidance_of(target, run=run).by_step
    weight = weigh(target, 3.0)
    assert computed == pytest.approx([weight] * (N_STEPS - 1), abs=1e-4)
    assert abs(reused - weight) > 1e-3


def test_a_cache_leaves_the_line_of_guidance(target):
    run = clone_pipeline(target[0])
    install_stack(run, (StackItem("step_mask", {"skip": str(N_STEPS - 1), "reuse": "output"}),))
    guidance = guidance_of(target, run=run)
    assert guidance.residual > 1e-3


def test_what_no_scale_of_guidance_does_is_residual(ltx):
    run = clone_pipeline(ltx[0])
    run.transformer.register_forward_hook(lambda _, __, output: (output[0] * 1.1,))
    guidance = guidance_of(ltx, run=run)
    assert guidance.residual > 1e-2


def test_without_guidance_there_is_nothing_to_measure(target):
    pipeline, workload = target
    plain = workload.with_overrides({"guidance_scale": 1.0})
    found = compare_guidance(pipeline, plain, clone_pipeline(pipeline), plain, PAIR)
    assert found == Unmeasurable("made without guidance: the guidance scale is 1")


def test_a_guidance_by_another_rule_is_not_given_a_number(ltx):
    rescaled = clone_pipeline(ltx[0])
    call = type(rescaled).__call__

    class Rescaled(type(rescaled)):
        def __call__(self, **kwargs):
            return call(self, **kwargs, guidance_rescale=0.7)

    Rescaled.__name__ = "LTXPipeline"
    rescaled.__class__ = Rescaled
    found = guidance_of((rescaled, ltx[1]))
    assert isinstance(found, Unmeasurable)
    assert "another rule" in found.reason


def test_equal_branches_have_no_direction(ltx):
    pipeline, workload = ltx
    same = replace(workload, negative_prompt=PROMPT)
    found = compare_guidance(pipeline, same, clone_pipeline(pipeline), same, PAIR)
    assert isinstance(found, Unmeasurable)
    assert "the same" in found.reason


def test_a_run_that_is_not_finite_is_no_measurement(ltx):
    run = clone_pipeline(ltx[0])
    run.transformer.register_forward_hook(lambda _, __, output: (output[0] * float("nan"),))
    with pytest.raises(GuidanceError, match="Step 0 of the run has values that are not finite"):
        guidance_of(ltx, run=run)


def test_a_run_from_other_noise_is_no_measurement(ltx):
    run = clone_pipeline(ltx[0])
    prepare = run.prepare_latents
    run.prepare_latents = lambda *args, **kwargs: prepare(*args, **kwargs) * 1.01
    with pytest.raises(GuidanceError, match="starts from other latents"):
        guidance_of(ltx, run=run)


def test_a_run_at_other_timesteps_is_no_measurement(ltx):
    run = clone_pipeline(ltx[0])
    run.scheduler.register_to_config(shift=7.0, use_dynamic_shifting=False)
    run.scheduler.set_shift(7.0)
    with pytest.raises(GuidanceError, match="compares equal timesteps"):
        guidance_of(ltx, run=run)


def test_nothing_is_left_on_the_pristine_pipeline(ltx):
    pipeline, _ = ltx
    before = set(vars(pipeline.scheduler)), len(pipeline.transformer._forward_hooks)
    guidance_of(ltx)
    after = set(vars(pipeline.scheduler)), len(pipeline.transformer._forward_hooks)
    assert after == before


class ToyScheduler:
    """Euler steps of equal length."""

    def step(self, model_output, timestep, sample):
        return (sample - 0.1 * model_output,)


class Toy:
    """Three steps of two calls each, at any guidance scale."""

    def __init__(self) -> None:
        self.denoiser, self.scheduler, self.clock = ToyDenoiser(), ToyScheduler(), Clock()
        generator = torch.Generator().manual_seed(0)
        self.noise = torch.randn(1, 4, 2, 6, 5, generator=generator)
        self.texts = {b: torch.randn(1, 3, 4, generator=generator) for b in ("cond", "uncond")}

    def run(self, scale, replace_latents=lambda _, latents: latents):
        latents = self.noise
        self.clock.begin_video(3, is_guided=True)
        for step in range(3):
            timestep, made = torch.tensor([1.0 - step / 3]), {}
            for self.clock.branch in ("cond", "uncond"):
                text = self.texts[self.clock.branch]
                made[self.clock.branch] = self.denoiser(latents, text, timestep)[0].detach()
            guided = made["uncond"] + scale * (made["cond"] - made["uncond"])
            latents = self.scheduler.step(guided, timestep, latents)[0]
            latents = replace_latents(step, latents)
            self.clock.advance()

    def record(self, scale, latents=None):
        """The steps at a scale, the second and third at `latents`."""

        def own(step, led_to):
            return led_to if latents is None or step == 2 else latents[step]

        return record_steps(lambda: self.run(scale, own), self.scheduler)

    def measure(self, steps):
        return measure_effective_guidance(
            steps,
            lambda replace_latents: self.run(4.0, replace_latents),
            self.scheduler,
            toy_roles(self.denoiser).denoisers,
            self.clock,
            nominal=4.0,
        )


def test_scale_and_residual_by_hand():
    """The run's outputs are v_u + w_k d + e with e orthogonal to d, at latents of its own."""
    toy, scales = Toy(), torch.tensor([2.0, 3.0, 5.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    own = torch.randn(2, *toy.noise.shape, generator=generator)
    steps, d2, e2, line2 = [], [], [], []
    for uncond, cond, w in zip(toy.record(0.0, own), toy.record(1.0, own), scales, strict=True):
        d = cond.output.double() - uncond.output.double()
        e = torch.randn(d.shape, generator=generator, dtype=torch.float64)
        e -= (e * d).sum() / (d * d).sum() * d
        on_line = uncond.output + w * d
        d2.append(d.square().sum())
        e2.append(e.square().sum())
        line2.append(on_line.square().sum())
        steps.append(replace(uncond, output=on_line + e))
    guidance = toy.measure(steps)
    weights = torch.stack(d2)
    assert guidance.by_step == pytest.approx(scales.tolist(), rel=1e-3)
    assert guidance.scale == pytest.approx(float((weights * scales).sum() / weights.sum()), 1e-3)
    assert guidance.residual == pytest.approx(float((sum(e2) / sum(line2)).sqrt()), rel=1e-3)


@pytest.mark.parametrize(("n_run", "n_baseline"), [(2, "more"), (4, "3")])
def test_other_numbers_of_steps_are_no_measurement(n_run, n_baseline):
    toy = Toy()
    steps = toy.record(4.0)
    steps = (*steps, steps[-1])[:n_run]
    with pytest.raises(GuidanceError, match=f"has {n_run} steps, the baseline {n_baseline}:"):
        toy.measure(steps)


def test_a_pipeline_that_keeps_its_own_latents_is_noticed():
    """What it is given to go on with must be where the next step starts."""
    toy = Toy()
    steps = toy.record(2.0)
    toy_run = toy.run
    toy.run = lambda scale, _: toy_run(scale)
    with pytest.raises(GuidanceError, match="Step 1 of the run starts from other latents"):
        toy.measure(steps)


def test_half_precision_is_measured():
    """Wan guides in the denoiser's own precision: its output leaves its line by roundings."""
    pipeline = build_tiny("wan").to(torch.bfloat16)
    workload = tiny_workload("wan").with_overrides({"steps": N_STEPS})
    assert guidance_of((pipeline, workload)).ratio == pytest.approx(1.0, abs=0.02)
    changed = {"guidance_scale": 3.6}
    assert guidance_of((pipeline, workload), changed).ratio == pytest.approx(1.2, abs=0.02)


def test_the_denoising_alone_takes_the_steps_of_a_video(ltx):
    pipeline, workload = ltx
    seen = []
    denoise(pipeline, workload, *PAIR, lambda step, latents: seen.append(step) or latents)
    assert seen == list(range(N_STEPS))
