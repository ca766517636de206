"""What workers report becomes probes; whatever they get wrong becomes a rejection."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import FakeWorker

from sol.errors import NoEffectError
from sol.search.crew import Crew
from sol.search.executors.inline import InlineExecutor
from sol.search.worker import WorkerPlan
from sol.stages.gate import run_gate
from sol.technique import StackItem
from sol.validator.profile import parse_profile

STACK = (StackItem("step_mask", {"skip": "3"}), StackItem("text_kv"))
PAIRS = tuple((f"prompt {i}", seed) for i in range(3) for seed in (0, 1))
PROFILE = parse_profile(
    {
        "schema": "sol.gate/1",
        "name": "test",
        "confidence": 0.95,
        "n_prompts": 3,
        "n_seeds": 2,
        "probes": ["off_is_identity", "engagement", "state_leak", "determinism"],
        "metrics": [{"metric": "psnr", "kind": "floor", "margin": 30.0}],
    },
    "test",
)


class GateWorker(FakeWorker):
    """Makes a moving bar; `flaw` says what is wrong with the accelerated arm."""

    flaw = ""

    def compare(self, stack, pair, compare):
        if self.flaw == "no effect" and pair == PAIRS[4]:
            raise NoEffectError("text_kv never engaged in 1 video(s)")
        frames = np.zeros((6, 16, 16, 3), np.float32)
        for t in range(6):
            frames[t, :, 2 * t : 2 * t + 3] = 0.8
        other = frames.copy()
        if self.flaw == "noise":
            rng = np.random.default_rng(0)
            other = np.clip(frames + rng.normal(0, 0.1, frames.shape), 0, 1).astype(np.float32)
        if self.flaw == "nan":
            other[2, 3, 4] = np.nan
        return compare(*pair, frames, other), {"step_mask": {"calls_skipped": 1}}

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


def judge(flaw: str, tmp_path):
    worker_class = type("Worker", (GateWorker,), {"flaw": flaw})
    executor = InlineExecutor(make_worker=worker_class)
    infos = executor.start_workers(WorkerPlan("fake", None, None, {}, tmp_path))
    return run_gate(Crew(executor, infos), STACK, PROFILE, PAIRS)


def test_without_a_flaw_it_is_accepted(tmp_path):
    result = judge("", tmp_path)
    assert result.verdict.is_accepted, result.verdict.reasons
    assert len(result.pairs) == len(PAIRS)
    assert result.engagement == {"step_mask": {"calls_skipped": 1}}


@pytest.mark.parametrize(
    ("flaw", "check"),
    [
        ("noise", "psnr_floor"),
        ("nan", "sanity"),
        ("no effect", "engagement"),
        ("undo", "off_is_identity"),
        ("identity", "off_is_identity"),
        ("leak", "state_leak"),
        ("chance", "determinism"),
        ("dies", "determinism"),
    ],
)
def test_every_flaw_is_a_rejection_that_names_its_check(flaw, check, tmp_path):
    verdict = judge(flaw, tmp_path).verdict
    assert not verdict.is_accepted
    assert check in {c.name for c in verdict.checks if not c.passed}
    assert any(reason.startswith(check) for reason in verdict.reasons)
