"""A gate is tried with what it must reject and with what it must accept."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeWorker
from sessions import GATE

from sol.lossless_video import write_lossless
from sol.search.crew import Crew
from sol.search.executors.inline import InlineExecutor
from sol.search.worker import MeasuringWorker, WorkerPlan
from sol.stages.evidence import GateSetting
from sol.stages.self_test import list_planted, run_self_test
from sol.target import Workload
from sol.validator.profile import load_profile, parse_profile

WORKLOAD = Workload(8, 8, 5, 4, 3.0, 8, 8)
DAMAGE = {
    "blur",
    "freeze",
    "stutter",
    "lag",
    "flicker",
    "colour shift",
    "guidance x1.2",
    "fewer steps",
    "wrong prompt",
}


class PlantedWorker(FakeWorker):
    """A moving bar; what is not done to the frames is noise on them."""

    def compare(self, arm, pair, compare, files):
        frames = np.full((6, 16, 16, 3), 0.2, np.float32)
        for t in range(6):
            frames[t, :, 2 * t : 2 * t + 3] = 0.8
        other = arm.spoil(frames.copy()) if arm.spoil else frames.copy()
        if arm.overrides or arm.prompt:
            noise = np.random.default_rng(pair[1]).normal(0, 0.1, frames.shape)
            other = np.clip(other + noise, 0, 1).astype(np.float32)
        for path, video in ((files.baseline, frames), (files.accelerated, other)):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_lossless(video, path, files.fps)
        return compare(*pair, frames, other), {}


def try_gate(margin, folder):
    rule = {"metric": "psnr", "kind": "floor", "margin": margin}
    profile = parse_profile(GATE | {"metrics": [rule]}, "test")
    executor = InlineExecutor(make_worker=PlantedWorker)
    infos = executor.start_workers(WorkerPlan("fake", None, None, {}, folder))
    setting = GateSetting(profile, "pocket", 8.0, folder)
    return run_self_test(Crew(executor, infos), setting, list_planted(WORKLOAD, "pocket"))


def test_a_strict_gate_rejects_all_damage_and_accepts_the_baseline(tmp_path):
    results = {result.planted.name: result for result in try_gate(45.0, tmp_path)}
    assert set(results) == {"A/A", "A/A jitter"} | DAMAGE
    assert all(result.is_right for result in results.values())
    assert results["blur"].caught_by == ("psnr_floor",)
    assert results["A/A"].verdict.is_accepted


def test_a_gate_that_lets_damage_through_is_found_out(tmp_path):
    results = {result.planted.name: result for result in try_gate(5.0, tmp_path)}
    wrong = {name for name, result in results.items() if not result.is_right}
    assert "flicker" in wrong
    assert wrong <= DAMAGE
    assert results["flicker"].to_json()["must_be"] == "rejected"


def test_a_model_without_guidance_is_not_tried_with_more_of_it():
    unguided = list_planted(replace(WORKLOAD, guidance_scale=1.0), "pocket")
    assert {planted.name for planted in unguided} == {"A/A", "A/A jitter"} | DAMAGE - {
        "guidance x1.2"
    }


@pytest.mark.slow
def test_on_real_videos_every_damage_is_caught(tmp_path):
    """The shipped rules on fewer prompts: what the whole gate sees, this sees as well."""
    profile = load_profile("near-lossless-pocket")
    small = replace(
        profile,
        tail=0.3,
        screening=replace(profile.screening, prompts=6),
        confirmation=replace(profile.confirmation, looks=(15,), extra=0),
        metrics=tuple(
            replace(rule, stratum=None, worst=None) if hasattr(rule, "worst") else rule
            for rule in profile.metrics
        ),
        guidance=replace(profile.guidance, prompts=3),
    )
    with closing(InlineExecutor(MeasuringWorker)) as executor:
        infos = executor.start_workers(WorkerPlan("pocket", "cpu", None, {}, tmp_path))
        info = infos[0]
        setting = GateSetting(small, info.prompts, info.workload.frame_rate, tmp_path)
        planted = list_planted(info.workload, info.prompts)
        results = run_self_test(Crew(executor, infos), setting, planted)
    wrong = {
        result.planted.name: result.verdict.reasons for result in results if not result.is_right
    }
    assert wrong == {}
