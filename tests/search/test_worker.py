"""The measuring worker on the real pocket model with a short workload."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, replace

import numpy as np
import pytest
from example_prompts import OTHER_PROMPT, PROMPT
from torch import nn

from sol.diagnosis import Diagnosis
from sol.errors import NoEffectError, SolError
from sol.schedule import Schedule
from sol.search import latent_probes
from sol.search.altered import Altered
from sol.search.fresh_process import Question, read_question
from sol.search.memory_probe import measure_process_peak
from sol.search.offering import TriedOut
from sol.search.records import QualityFloor
from sol.search.start_probe import measure_cold_start
from sol.search.worker import ContaminatedWorkerError, MeasuringWorker, WorkerPlan
from sol.skills.registry import TECHNIQUES
from sol.technique import StackItem

PAIRS = ((PROMPT, 0), (OTHER_PROMPT, 1))
ANY = QualityFloor(0.0, 0.0)
MASK = (StackItem("step_mask", {"skip": "3,5"}),)


@pytest.fixture
def worker(tmp_path) -> MeasuringWorker:
    return MeasuringWorker(WorkerPlan("pocket", "cpu", None, {"steps": 8}, tmp_path / "baseline"))


def test_nothing_installed_is_the_baseline(worker):
    quality = worker.measure_quality((), PAIRS, ANY)
    assert quality.psnr == 100.0
    assert quality.n == 2


def test_quality_of_a_lossy_stack(worker):
    quality = worker.measure_quality(MASK, PAIRS, ANY)
    assert 10 < quality.worst_psnr <= quality.psnr < 100
    counts = quality.counts["step_mask"]
    assert (counts["calls_computed"], counts["calls_skipped"]) == (12, 4)


def test_a_hopeless_setting_stops_at_its_first_video(worker):
    assert worker.measure_quality(MASK, PAIRS, QualityFloor(0.0, 99.0)).n == 1


def test_what_never_engages_is_no_measurement(worker):
    inert = (StackItem("step_mask", {"skip": "3"}, Schedule(steps="none")),)
    with pytest.raises(NoEffectError, match="step_mask never engaged"):
        worker.measure_quality(inert, PAIRS, ANY)


def test_speed_is_paired_with_the_baseline_of_this_process(worker):
    speed = worker.measure_speed(MASK, PAIRS[0], 2)
    assert speed.n == 2
    assert len(speed.baseline_s) == len(speed.accelerated_s) == 2
    assert speed.low <= speed.median <= speed.high


def test_the_baseline_is_frozen(worker, tmp_path):
    worker.make_baseline(PAIRS)
    files = {path: path.read_bytes() for path in (tmp_path / "baseline").iterdir()}
    assert len(files) == 2
    worker.make_baseline(PAIRS)
    worker.measure_quality(MASK, PAIRS, ANY)
    assert {path: path.read_bytes() for path in (tmp_path / "baseline").iterdir()} == files


def test_a_trial_does_not_change_the_next_one(worker):
    before = worker.measure_quality(MASK, PAIRS, ANY)
    worker.measure_quality((StackItem("int8_dynamic", {"layers": "all"}),), PAIRS, ANY)
    after = worker.measure_quality(MASK, PAIRS, ANY)
    assert (after.psnr, after.ssim) == pytest.approx((before.psnr, before.ssim), rel=1e-9)


def test_a_changed_pristine_pipeline_is_noticed(worker):
    worker._pipeline.transformer.register_forward_hook(lambda *_: None)
    with pytest.raises(ContaminatedWorkerError):
        worker.measure_quality(MASK, PAIRS, ANY)


def test_undo_and_identity_give_the_baseline(worker):
    for latents in (
        worker.latents_after_undo(MASK, PAIRS[0]),
        worker.latents_at_identity((StackItem("step_mask", {"skip": "none"}),), PAIRS[0]),
    ):
        assert np.array_equal(*latents)


def frames_of_both(prompt, seed, baseline, accelerated):
    return baseline, accelerated


def test_the_pristine_pipeline_called_in_another_way(worker):
    fewer = Altered({"steps": 4})
    (baseline, other), counts = worker.compare(fewer, PAIRS[0], frames_of_both)
    assert counts == {}
    assert baseline.shape == other.shape
    assert not np.array_equal(baseline, other)
    same, again = worker.compare(Altered(), PAIRS[0], frames_of_both)[0]
    assert np.array_equal(same, again)
    assert np.array_equal(same, baseline)


def test_effective_guidance_of_a_stack(worker):
    nothing = worker.effective_guidance((), PAIRS[0])
    assert nothing.ratio == pytest.approx(1.0, abs=1e-5)
    assert nothing.residual < 1e-5
    masked = worker.effective_guidance(MASK, PAIRS[0])
    skipped = [step for step, w in enumerate(masked.by_step) if abs(w - masked.nominal) > 1e-3]
    assert skipped == [3, 5]
    assert masked.ratio == pytest.approx(1.0, abs=0.2)


def test_effective_guidance_of_a_run_made_with_more(worker):
    guidance = worker.effective_guidance(Altered({"guidance_scale": 3.6}), PAIRS[0])
    assert guidance.nominal == 3.0
    assert guidance.ratio == pytest.approx(1.2, abs=1e-5)


def test_a_stack_that_never_engages_has_no_effective_guidance(worker):
    inert = (StackItem("step_mask", {"skip": "3"}, Schedule(steps="none")),)
    with pytest.raises(NoEffectError, match="step_mask never engaged"):
        worker.effective_guidance(inert, PAIRS[0])


def test_the_diagnosis_adds_up(worker):
    diagnosis = worker.diagnose(PAIRS)
    assert 0 < diagnosis.linear_s < diagnosis.denoise_s
    assert diagnosis.text_s > 0
    assert diagnosis.decode_s > 0
    assert diagnosis.denoise_s + diagnosis.text_s + diagnosis.decode_s < diagnosis.total_s
    assert len(diagnosis.output_change) == 7
    assert diagnosis.bound_if_free(0.0) == 1.0


def test_offers_come_with_reasons_for_what_is_left_out(worker):
    diagnosis = worker.diagnose(PAIRS)
    offers, obstacles = worker.offers("cache", diagnosis, TriedOut())
    of_the_skill = [name for name, t in TECHNIQUES.items() if t.skill == "cache"]
    assert [offer.technique for offer in offers] == of_the_skill
    assert obstacles == {}
    for offer in offers:
        for first in offer.space.first:
            assert set(offer.space.knobs) <= set(first)


def test_a_technique_that_says_what_it_saves_has_a_bound_of_its_own(worker, monkeypatch):
    half = replace(TECHNIQUES["text_kv"], saves=lambda diagnosis: diagnosis.total_s / 2)
    table = {"text_kv": half, "step_mask": TECHNIQUES["step_mask"]}
    monkeypatch.setattr("sol.search.offering.TECHNIQUES", table)
    offers, _ = worker.offers("cache", Diagnosis(10.0, 9.0, 6.0, 0.5, 0.1), TriedOut())
    bounds = {offer.technique: offer.bound for offer in offers}
    assert bounds == {"text_kv": pytest.approx(2.0), "step_mask": None}


@pytest.mark.slow
def test_memory_of_both_arms(worker):
    memory = worker.measure_memory((StackItem("int8_dynamic", {"layers": "all"}),), PAIRS[0])
    assert memory.accelerated_weights < memory.baseline_weights == memory.weights_after_undo
    assert 0 < memory.kept_for_undo < memory.baseline_weights
    assert memory.baseline_peak > memory.baseline_weights
    assert memory.accelerated_peak > memory.accelerated_weights


@pytest.mark.slow
def test_the_peak_is_the_new_process_own_whatever_this_one_holds(pocket, workload):
    """ru_maxrss would be inherited through exec."""
    ballast = np.ones(2**28, np.float64)
    peak = measure_process_peak(Question("pocket", "cpu", workload, (), PAIRS[0], 1))
    assert peak < ballast.nbytes


@pytest.mark.slow
def test_a_cold_start_is_timed_in_a_process_of_its_own(worker):
    start = worker.measure_cold_start((StackItem("regional_compile"), *MASK), PAIRS[0])
    assert start.install_s > 0
    assert start.first_s > 0
    assert start.steady_s > 0


def test_a_process_of_its_own_that_fails_is_no_measurement(workload):
    unknown = Question("no such model", "cpu", workload, MASK, PAIRS[0], 1)
    assert measure_cold_start(unknown) is None
    assert measure_process_peak(unknown) is None


def test_a_question_reaches_the_process_as_it_was_asked(workload):
    scheduled = StackItem("step_mask", {"skip": "3"}, Schedule(steps="2-5"))
    question = Question("pocket", "cpu", workload, (scheduled, *MASK), PAIRS[0], 2)
    assert read_question(json.dumps(asdict(question))) == question


def test_what_leaves_weights_behind_fails_the_probe_of_undo(worker, monkeypatch):
    @contextmanager
    def forgetful(pipeline, stack):
        pipeline.transformer.left_behind = nn.Linear(4, 4)
        yield

    monkeypatch.setattr(latent_probes, "install_stack", forgetful)
    with pytest.raises(SolError, match="Undo must leave the weights that were there"):
        worker.latents_after_undo(MASK, PAIRS[0])
