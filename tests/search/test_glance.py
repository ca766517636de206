"""A glance at a stack on the real pocket model with a short workload."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from example_prompts import OTHER_PROMPT, PROMPT

from sol.errors import NoEffectError
from sol.schedule import Schedule
from sol.search.records import GlanceLimits, QualityFloor
from sol.search.worker import MeasuringWorker, WorkerPlan
from sol.skills import registry
from sol.skills.registry import TECHNIQUES
from sol.technique import Evidence, Installed, StackItem

PAIRS = ((PROMPT, 0), (OTHER_PROMPT, 1))
ANY = QualityFloor(0.0, 0.0)
MASK = (StackItem("step_mask", {"skip": "3,5"}),)
INT8 = (StackItem("int8_dynamic", {"layers": "all"}),)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> MeasuringWorker:
    folder = tmp_path_factory.mktemp("baseline")
    return MeasuringWorker(WorkerPlan("pocket", "cpu", None, {"steps": 8}, folder))


@pytest.fixture
def worker(loaded) -> MeasuringWorker:
    loaded._arms.slot.drop()
    return loaded


def scaling_outputs(factor, from_call):
    """The techniques, with a step_mask that multiplies what the denoiser returns."""

    def install(roles, config, schedule, clock):
        calls = []

        def spoil(module, args, output):
            calls.append(1)
            scale = factor if len(calls) > from_call else 1.0
            return (output[0] * scale, *output[1:])

        handle = roles.denoisers[0].module.register_forward_hook(spoil)
        return Installed(handle.remove, lambda: Evidence(True, {"calls": len(calls)}))

    return {**TECHNIQUES, "step_mask": replace(TECHNIQUES["step_mask"], install=install)}


def test_nothing_installed_is_the_baseline(worker):
    glance = worker.glance((), PAIRS[0])
    assert glance.latent_error == 0.0
    assert (glance.least_update, glance.most_update) == (1.0, 1.0)
    assert (glance.steps, glance.is_finite, glance.call_error) == (8, True, None)


def test_what_acts_across_steps_shows_in_the_latents_alone(worker):
    glance = worker.glance(MASK, PAIRS[0])
    assert glance.call_error is None
    assert 0 < glance.latent_error < 1
    assert 0.5 < glance.least_update < 1 < glance.most_update < 2


def test_what_acts_within_calls_shows_in_both(worker):
    glance = worker.glance(INT8, PAIRS[0])
    assert 0 < glance.call_error < 0.2
    assert 0 < glance.latent_error < 0.2


def test_the_video_of_a_glance_is_the_trials_first(worker):
    alone = worker.measure_quality(MASK, PAIRS, ANY)
    worker._arms.slot.drop()
    worker.glance(MASK, PAIRS[0])
    quality = worker.measure_quality(MASK, PAIRS, ANY)
    assert worker._arms.slot.prepare(MASK)[0].clock.video == 2
    assert (quality.psnr, quality.ssim, quality.counts) == (alone.psnr, alone.ssim, alone.counts)


def test_a_video_of_another_clone_is_not_handed_on(worker):
    worker.glance(MASK, PAIRS[0])
    worker.measure_speed(INT8, PAIRS[0], 2)
    quality = worker.measure_quality(MASK, PAIRS, ANY)
    assert quality.counts["step_mask"]["calls_skipped"] == 4


def test_a_run_ends_before_frames_where_its_latents_are_too_far_off(worker):
    glance = worker.glance(MASK, PAIRS[0], GlanceLimits(latent_error=1e-6))
    assert glance.latent_error > 1e-6
    assert worker._seen == (MASK, {})
    assert worker.measure_quality(MASK, PAIRS, ANY).n == 2


def test_a_stack_ends_at_its_calls_where_those_are_too_far_off(worker):
    glance = worker.glance(INT8, PAIRS[0], GlanceLimits(call_error=1e-6))
    assert glance.call_error > 1e-6
    assert (glance.steps, glance.latent_error) == (0, None)


@pytest.mark.parametrize(
    ("factor", "is_finite", "steps"),
    [
        pytest.param(math.nan, False, 5, id="NaN"),
        pytest.param(8.0, True, 5, id="blows up"),
        pytest.param(0.0, True, 5, id="stands still"),
    ],
)
def test_a_lost_run_ends_at_the_step_that_shows_it(worker, monkeypatch, factor, is_finite, steps):
    monkeypatch.setattr(registry, "TECHNIQUES", scaling_outputs(factor, from_call=4))
    glance = worker.glance(MASK, PAIRS[0])
    assert (glance.steps, glance.is_finite, glance.latent_error) == (steps, is_finite, None)


def test_after_a_lost_run_the_next_stack_is_measured_as_ever(worker, monkeypatch):
    before = worker.glance(INT8, PAIRS[0])
    with monkeypatch.context() as patch:
        patch.setattr(registry, "TECHNIQUES", scaling_outputs(math.nan, from_call=4))
        worker.glance(MASK, PAIRS[0])
    assert worker.glance(INT8, PAIRS[0]).latent_error == before.latent_error


def test_what_never_engages_is_no_measurement(worker):
    inert = (StackItem("step_mask", {"skip": "3"}, Schedule(steps="none")),)
    with pytest.raises(NoEffectError, match="step_mask never engaged"):
        worker.glance(inert, PAIRS[0])
