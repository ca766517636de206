"""With a guard, a video that the stack cannot make well is the pipeline's own, bit for bit."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch
from deploy.recipes import halve_steps, with_stack
from example_prompts import OTHER_PROMPT, PROMPT

import sol
from sol.errors import NotApplicableError, TargetMismatchError
from sol.models.families import get_family
from sol.runtime.clone import clone_pipeline
from sol.runtime.fingerprint import fingerprint_pipeline
from sol.runtime.render import render

WORKING = {"technique": "step_mask", "config": {"skip": "2"}}
OF_GUIDANCE = {"technique": "cfg_reuse", "config": {"every": 2, "warmup": 1, "tail": 0}}
IDLE = {"technique": "easycache", "config": {"threshold": 1e-9}}


def call(pipeline, workload, **arguments):
    """Frames of a video from a generator, from latents, or from PyTorch's own random numbers."""
    with torch.no_grad():
        return pipeline(
            prompt=PROMPT,
            output_type="np",
            **arguments,
            **get_family(pipeline).call_arguments(workload),
        ).frames


def spoil_at_step(pipeline, applied, step, until_video=99):
    """Lets the accelerated denoiser return NaN in one step of the first videos."""

    def hook(_module, _args, output):
        is_now = applied.clock.step == step and applied.clock.video <= until_video
        return (output[0] * float("nan"),) if is_now else output

    return pipeline.transformer.register_forward_hook(hook)


def random_state():
    return torch.Generator().manual_seed(3)


def given_latents(pipeline, workload):
    """Noise of the shape that the denoiser is called with."""
    shapes = []
    hook = pipeline.transformer.register_forward_pre_hook(
        lambda _m, _a, kwargs: shapes.append(kwargs["hidden_states"].shape), with_kwargs=True
    )
    call(pipeline, workload.with_overrides({"steps": 1}), generator=random_state())
    hook.remove()
    return torch.randn(1, *shapes[0][1:], generator=random_state())


SOURCES = {
    "generator": lambda *_: {"generator": random_state()},
    "generators": lambda *_: {"generator": [random_state()]},
    "latents": lambda pipeline, workload: {"latents": given_latents(pipeline, workload)},
    "nothing": lambda *_: {},
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("fault", ["not finite", "not engaged: easycache"])
def test_a_fallback_is_the_plain_pipelines_video(pipeline, workload, fault, source):
    plain = clone_pipeline(pipeline)
    given = SOURCES[source](plain, workload)
    torch.manual_seed(5)
    expected = call(plain, workload, **given)
    given = SOURCES[source](plain, workload)
    is_idle = fault.endswith("easycache")
    with sol.apply(pipeline, [IDLE] if is_idle else [WORKING], guard=True) as applied:
        if not is_idle:
            spoil_at_step(pipeline, applied, 2)
        torch.manual_seed(5)
        frames = call(pipeline, workload, **given)
        assert applied.fallbacks == {fault: 1}
    assert np.array_equal(frames, expected)


def test_the_callers_generator_ends_as_after_one_video(pipeline, workload):
    plain, once, twice = clone_pipeline(pipeline), random_state(), random_state()
    call(plain, workload, generator=once)
    with sol.apply(pipeline, [IDLE], guard=True):
        call(pipeline, workload, generator=twice)
    assert torch.equal(once.get_state(), twice.get_state())


def test_a_video_that_works_is_the_stacks(pipeline, workload):
    unguarded = clone_pipeline(pipeline)
    with sol.apply(unguarded, [WORKING]):
        expected = render(unguarded, workload, PROMPT, 0)
    with sol.apply(pipeline, [WORKING], guard=True) as applied:
        assert np.array_equal(render(pipeline, workload, PROMPT, 0).frames, expected.frames)
        assert applied.fallbacks == {}


def test_the_next_video_tries_the_stack_again(pipeline, workload):
    unguarded = clone_pipeline(pipeline)
    with sol.apply(unguarded, [WORKING]):
        expected = render(unguarded, workload, PROMPT, 0)
    with sol.apply(pipeline, [WORKING], guard=True) as applied:
        spoil_at_step(pipeline, applied, 2, until_video=1)
        render(pipeline, workload, OTHER_PROMPT, 1)
        assert np.array_equal(render(pipeline, workload, PROMPT, 0).latents, expected.latents)
        assert applied.fallbacks == {"not finite": 1}


def test_whoever_watches_the_scheduler_sees_the_fallback_too(pipeline, workload, baseline):
    with sol.apply(pipeline, [IDLE], guard=True):
        made = render(pipeline, workload, PROMPT, 0)
    assert np.array_equal(made.latents, baseline.latents)
    assert np.array_equal(made.frames, baseline.frames)


def test_a_video_outside_of_the_range_is_made_at_once_without_the_stack(pipeline, recipe):
    wide = recipe.target.workload.with_overrides({"width": 96, "steps": 3})
    expected = render(clone_pipeline(pipeline), wide, PROMPT, 0)
    with sol.apply(pipeline, recipe, guard=True) as applied:
        made = render(pipeline, wide, PROMPT, 0)
        assert applied.fallbacks == {"workload": 1}
        assert applied.clock.video == 0
        assert applied.evidence()["step_mask"].counts["calls_computed"] == 0
    assert np.array_equal(made.frames, expected.frames)


def test_other_steps_than_were_asked_for_fall_back_too(pipeline, recipe):
    plain = clone_pipeline(pipeline)
    for each in (pipeline, plain):
        halve_steps(each.scheduler)
    workload = recipe.target.workload
    expected = call(plain, workload, generator=random_state())
    with sol.apply(pipeline, recipe, guard=True) as applied:
        made = call(pipeline, workload, generator=random_state())
        assert applied.fallbacks == {"workload": 1}
    assert np.array_equal(made, expected)


def test_each_reason_is_logged_once_and_counted(pipeline, recipe, caplog):
    workload = recipe.target.workload
    idle = with_stack(recipe, easycache={"threshold": 1e-9})
    with (
        caplog.at_level(logging.WARNING, "sol"),
        sol.apply(pipeline, idle, guard=True) as applied,
    ):
        for steps in (3, 3, 4, 4, 3):
            render(pipeline, workload.with_overrides({"steps": steps}), PROMPT, 0)
        counts = {"workload": 3, "not engaged: easycache": 2}
        assert applied.record()["fallbacks"] == counts
    assert len(caplog.records) == 2


def test_without_a_guard_the_range_is_an_error_and_the_rest_is_not_looked_at(pipeline, recipe):
    workload = recipe.target.workload
    with sol.apply(pipeline, recipe) as applied:
        hook = spoil_at_step(pipeline, applied, 2)
        made = render(pipeline, workload, PROMPT, 0)
        hook.remove()
        assert not np.isfinite(made.latents).all()
        with pytest.raises(TargetMismatchError):
            render(pipeline, workload.with_overrides({"width": 96}), PROMPT, 0)
        assert applied.record()["fallbacks"] == {}


def test_an_error_of_the_pipeline_is_not_the_guards(pipeline, workload):
    def stop(step, _):
        raise RuntimeError("the caller's own")

    with sol.apply(pipeline, [WORKING], guard=True) as applied:
        own = pipeline.transformer
        with pytest.raises(RuntimeError, match="the caller's own"):
            render(pipeline, workload, PROMPT, 0, stop)
        assert applied.fallbacks == {}
        assert pipeline.transformer is own


def test_an_error_in_the_fallback_puts_the_stack_back(pipeline, recipe):
    wide = recipe.target.workload.with_overrides({"width": 96})

    def stop(step, _):
        raise RuntimeError("the caller's own")

    unguarded = clone_pipeline(pipeline)
    with sol.apply(unguarded, recipe):
        expected = render(unguarded, recipe.target.workload, PROMPT, 0)
    with sol.apply(pipeline, recipe, guard=True):
        with pytest.raises(RuntimeError):
            render(pipeline, wide, PROMPT, 0, stop)
        made = render(pipeline, recipe.target.workload, PROMPT, 0)
    assert np.array_equal(made.latents, expected.latents)


def test_a_technique_that_fell_silent_later_is_noticed(pipeline, workload):
    """Its evidence says "engaged" ever since the first video."""
    unguided = workload.with_overrides({"guidance_scale": 1.0})
    expected = render(clone_pipeline(pipeline), unguided, PROMPT, 0)
    with sol.apply(pipeline, [OF_GUIDANCE], guard=True) as applied:
        render(pipeline, workload, PROMPT, 0)
        assert applied.fallbacks == {}
        made = render(pipeline, unguided, PROMPT, 0)
        assert applied.evidence()["cfg_reuse"].engaged
        assert applied.fallbacks == {"not engaged: cfg_reuse": 1}
    assert np.array_equal(made.frames, expected.frames)


def test_a_workload_that_a_technique_refuses_is_made_without_it(pipeline, workload):
    """The third step is to be left out, and there are two."""
    short = workload.with_overrides({"steps": 2})
    expected = render(clone_pipeline(pipeline), short, PROMPT, 0)
    with sol.apply(pipeline, [WORKING], guard=True) as applied:
        assert np.array_equal(render(pipeline, short, PROMPT, 0).frames, expected.frames)
        assert applied.fallbacks == {"workload": 1}


def test_a_hooked_denoiser_has_no_copy(pipeline):
    pipeline.transformer.transformer_blocks[1].register_forward_hook(lambda *_: None)
    before = fingerprint_pipeline(pipeline)
    with pytest.raises(NotApplicableError, match="transformer has hooks on it"):
        sol.apply(pipeline, [WORKING], guard=True)
    assert fingerprint_pipeline(pipeline) == before
    sol.apply(pipeline, [WORKING]).undo()


def test_the_copy_shares_its_weights(pipeline):
    with sol.apply(pipeline, [WORKING], guard=True) as applied:
        copied = applied.guard.plain["transformer"]
        pairs = zip(copied.parameters(), pipeline.transformer.parameters(), strict=True)
        assert all(ours is theirs for ours, theirs in pairs)
