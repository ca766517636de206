"""What workers report becomes a verdict; whatever they get wrong becomes a rejection."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from fakes import FakeWorker
from sessions import GATE

from sol.errors import NoEffectError, SolError
from sol.lossless_video import write_lossless
from sol.measure.guidance import EffectiveGuidance, Unmeasurable
from sol.models.prompts import confirmation_prompts, extra_prompts, screening_prompts
from sol.search.altered import Altered
from sol.search.crew import Crew
from sol.search.executors.base import Done
from sol.search.executors.inline import InlineExecutor
from sol.search.worker import WorkerPlan
from sol.stages.evidence import GateSetting
from sol.stages.gate import Gate
from sol.technique import StackItem
from sol.validator.profile import parse_profile

STACK = (StackItem("step_mask", {"skip": "3"}), StackItem("text_kv"))
MECHANICS = ["off_is_identity", "engagement", "state_leak", "determinism"]
PROFILE = parse_profile(GATE | {"probes": MECHANICS}, "test")
GUIDED = parse_profile(
    GATE | {"guidance": {"prompts": 2, "confidence": 0.95, "low": 0.9, "high": 1.1}}, "test"
)
WITH_VBENCH = parse_profile(
    GATE
    | {"vbench": [{"metric": "vbench_imaging_quality", "kind": "difference", "margin": 0.01}]},
    "test",
)
FPS = 8.0


def moving_bar():
    frames = np.full((6, 16, 16, 3), 0.2, np.float32)
    for t in range(6):
        frames[t, :, 2 * t : 2 * t + 3] = 0.8
    return frames


class GateWorker(FakeWorker):
    """Makes a moving bar and keeps both videos; `flaw` is what is wrong with the other arm."""

    flaw = ""

    def compare(self, arm, pair, compare, files):
        seed = pair[1]
        if self.flaw == "no effect" and seed == 20_002:
            raise NoEffectError("text_kv never engaged in 1 video(s)")
        frames = moving_bar()
        other = frames.copy()
        rng = np.random.default_rng(seed)
        is_bad = {"noise": True, "noise later": seed >= 20_000, "noise in extra": seed >= 30_000}
        if is_bad.get(self.flaw) or (self.flaw == "one stratum" and pair[0] in MOTION):
            other = np.clip(frames + rng.normal(0, 0.4, frames.shape), 0, 1).astype(np.float32)
        if self.flaw == "nan":
            other[2, 3, 4] = np.nan
        if np.isfinite(other).all():
            for path, video in ((files.baseline, frames), (files.accelerated, other)):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_lossless(video, path, files.fps)
        return compare(*pair, frames, other), {"step_mask": {"calls_skipped": 1}}

    def effective_guidance(self, arm, pair):
        if self.flaw == "unguided":
            return Unmeasurable("no guidance")
        scale = 3.6 if self.flaw == "guidance" else 3.03
        return EffectiveGuidance(scale, 3.0, 0.1, (scale,))

    def latents_after_undo(self, stack, pair):
        a = np.ones((2, 3), np.float32)
        return a, a + (1e-6 if self.flaw == "undo" else 0)

    def latents_at_identity(self, stack, pair):
        assert [item.technique for item in stack] == ["step_mask"]
        assert stack[0].config == {"skip": "none"}
        a = np.ones((2, 3), np.float32)
        return a, a * (1.1 if self.flaw == "identity" else 1)

    def final_latents(self, stack, pairs):
        a = np.ones((2, 3), np.float32)
        if self.flaw == "leak" and len(pairs) > 1:
            return a + 1e-6
        if self.flaw == "dies":
            raise RuntimeError("out of memory")
        self.calls = getattr(self, "calls", 0) + 1
        return a + (self.calls if self.flaw == "chance" else 0)


MOTION = {p.text for p in screening_prompts("pocket", 3) if p.stratum == "motion"}


@dataclass
class FakeScorer:
    """Scores every video alike, but for what is wrong with it."""

    loss: float = 0.0
    failure: str = ""
    asked: list[set[str]] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)

    def score(self, videos):
        self.asked.append(set(videos))
        if self.failure:
            raise SolError(self.failure)
        assert all(video.path.is_file() for video in videos.values())
        return {
            name: {"vbench_imaging_quality": 0.7 - self.loss * (not name.endswith("baseline"))}
            for name in videos
        }


def gate_of(flaw, folder, profile=PROFILE, scorer=None, looks=None):
    worker_class = type("Worker", (GateWorker,), {"flaw": flaw})
    executor = InlineExecutor(make_worker=worker_class)
    infos = executor.start_workers(WorkerPlan("fake", None, None, {}, folder))
    setting = GateSetting(profile, infos[0].prompts, FPS, folder, scorer)
    return Gate(Crew(executor, infos), setting, (looks if looks is not None else []).append)


def failed(verdict):
    return {check.name for check in verdict.checks if not check.passed}


def test_without_a_flaw_it_is_accepted_at_the_first_look_that_can(tmp_path):
    looks = []
    result = gate_of("", tmp_path, looks=looks).judge(STACK)
    assert result.verdict.is_accepted, result.verdict.reasons
    assert [(entry.phase, entry.n_prompts, entry.outcome) for entry in looks] == [
        ("screening", 3, "accepted"),
        ("confirmation", 6, "accepted"),
    ]
    assert result.verdict.looks == tuple(looks)
    assert result.engagement == {"step_mask": {"calls_skipped": 1}}


def test_the_decisive_pairs_are_held_out_ones(tmp_path):
    result = gate_of("", tmp_path).judge(STACK)
    held_out = {prompt.text for prompt in confirmation_prompts("pocket", 9)}
    assert {record.prompt for record in result.pairs} <= held_out
    assert not {p.text for p in screening_prompts("pocket", 3)} & held_out


def test_the_worst_stratum_gets_further_prompts(tmp_path):
    result = gate_of("", tmp_path).judge(STACK)
    worst = result.verdict.strata[0]
    assert worst.n_prompts == 2 + 2
    extra = {p.text for p in extra_prompts("pocket", worst.stratum, 2)}
    assert extra <= {pair.prompt for pair in result.kept}


@pytest.mark.parametrize(
    ("flaw", "check", "stage"),
    [
        ("undo", "off_is_identity", "probes"),
        ("identity", "off_is_identity", "probes"),
        ("leak", "state_leak", "probes"),
        ("chance", "determinism", "probes"),
        ("dies", "determinism", "probes"),
        ("noise", "psnr_floor", "screening"),
        ("nan", "sanity", "screening"),
        ("noise later", "psnr_floor", "confirmation"),
        ("no effect", "videos", "confirmation"),
    ],
)
def test_every_flaw_is_a_rejection_at_the_first_stage_that_sees_it(flaw, check, stage, tmp_path):
    verdict = gate_of(flaw, tmp_path).judge(STACK).verdict
    assert not verdict.is_accepted
    assert check in failed(verdict)
    assert verdict.stage == stage
    assert any(reason.startswith(check) for reason in verdict.reasons)


def test_a_flaw_that_only_further_prompts_of_a_stratum_show_rejects(tmp_path):
    plan = GATE["confirmation"] | {"extra": 12}
    rule = GATE["metrics"][0] | {"stratum": 30.0}
    profile = parse_profile(GATE | {"confirmation": plan, "metrics": [rule]}, "test")
    verdict = gate_of("noise in extra", tmp_path, profile).judge(STACK).verdict
    assert not verdict.is_accepted
    assert {name.split("_")[-1] for name in failed(verdict)} <= {
        "compositional",
        "motion",
        "texture",
    }


def test_only_so_many_candidates_are_confirmed_in_one_run(tmp_path):
    gate = gate_of("noise later", tmp_path)
    assert [gate.judge(STACK).verdict.stage for _ in range(2)] == ["confirmation"] * 2
    assert not gate.can_confirm
    verdict = gate.judge(STACK).verdict
    assert failed(verdict) == {"candidates"}


def test_what_the_screening_rejects_uses_up_no_candidate(tmp_path):
    gate = gate_of("noise", tmp_path)
    gate.judge(STACK)
    assert (gate.n_confirmed, gate.can_confirm) == (0, True)


def test_videos_of_the_accepted_stack_stay_and_those_of_later_ones_go(tmp_path):
    gate = gate_of("", tmp_path)
    gate.judge(STACK)
    type(gate.crew._executor._worker).flaw = "noise"
    gate.judge(STACK)
    assert {path.name for path in (tmp_path / "videos").iterdir()} >= {"baseline", "stack-1"}


def test_planted_damage_needs_no_mechanics(tmp_path):
    assert gate_of("dies", tmp_path).judge(Altered()).verdict.is_accepted


@pytest.mark.parametrize(
    ("flaw", "accepted", "checks"),
    [
        ("", True, {"effective_guidance"}),
        ("guidance", False, {"effective_guidance"}),
        ("unguided", True, set()),
    ],
)
def test_effective_guidance_must_stay_the_baselines(flaw, accepted, checks, tmp_path):
    verdict = gate_of(flaw, tmp_path, GUIDED).judge(STACK).verdict
    assert verdict.is_accepted is accepted
    assert {c.name for c in verdict.checks} & {"effective_guidance"} == checks


def test_vbench_scores_only_what_the_embedded_metrics_let_through(tmp_path):
    scorer = FakeScorer()
    assert gate_of("", tmp_path / "a", WITH_VBENCH, scorer).judge(STACK).verdict.is_accepted
    assert len(scorer.asked) == 2
    spared = FakeScorer()
    gate_of("noise", tmp_path / "b", WITH_VBENCH, spared).judge(STACK)
    assert spared.asked == []


def test_a_loss_in_vbench_rejects_what_looks_the_same(tmp_path):
    verdict = gate_of("", tmp_path, WITH_VBENCH, FakeScorer(loss=0.02)).judge(STACK).verdict
    assert failed(verdict) == {"vbench_imaging_quality_difference"}
    assert verdict.backend == "vbench"


def test_without_vbench_its_rules_are_not_asked_and_the_label_says_so(tmp_path):
    verdict = gate_of("", tmp_path, WITH_VBENCH).judge(STACK).verdict
    assert verdict.is_accepted
    assert verdict.label == "embedded (proxy, not VBench)"
    assert not any(check.name.startswith("vbench") for check in verdict.checks)


def test_a_scorer_that_fails_rejects_with_its_reason(tmp_path):
    scorer = FakeScorer(failure="VBench's worker was ended by SIGKILL")
    verdict = gate_of("", tmp_path, WITH_VBENCH, scorer).judge(STACK).verdict
    assert failed(verdict) == {"vbench"}
    assert verdict.reasons == ("vbench: VBench's worker was ended by SIGKILL",)


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_rejects(score, tmp_path):
    scorer = FakeScorer(loss=score)
    verdict = gate_of("", tmp_path, WITH_VBENCH, scorer).judge(STACK).verdict
    assert failed(verdict) == {"vbench_imaging_quality_difference"}
    assert "no finite vbench_imaging_quality" in verdict.reasons[0]


@pytest.mark.parametrize("reason", ["worker 1 was lost", "no answer in 60 s"])
def test_a_worker_that_is_killed_or_hangs_rejects_with_its_reason(reason, tmp_path, monkeypatch):
    gate = gate_of("", tmp_path)
    run_all = gate.crew.run_all

    def lose_one(jobs, on_done=None):
        done = run_all(jobs, on_done)
        if len(done) > 1 and all(isinstance(item.value, tuple) for item in done):
            done[-1] = Done(0, 0, failure="lost", reason=reason)
        return done

    monkeypatch.setattr(gate.crew, "run_all", lose_one)
    verdict = gate.judge(Altered()).verdict
    assert failed(verdict) >= {"videos", "coverage"}
    assert reason in verdict.reasons[0]
