"""Sessions over workers without a model, and what the gate asks of such a worker."""

from __future__ import annotations

from typing import Any

import numpy as np
from fakes import FakeWorker

from sol.search.budget import Budget
from sol.search.crew import Crew
from sol.search.executors.inline import InlineExecutor
from sol.search.records import ColdStart, Speed
from sol.search.worker import MemoryReading, WorkerPlan
from sol.stages.evidence import GateSetting
from sol.stages.gate import Gate
from sol.stages.request import Session, TuneRequest
from sol.target import Target
from sol.validator.profile import parse_profile

GATE: dict[str, Any] = {
    "schema": "sol.gate/2",
    "name": "test",
    "confidence": 0.95,
    "seeds": 1,
    "screening": {"prompts": 3, "confidence": 0.8},
    "confirmation": {
        "looks": [6, 9],
        "spending": 1.0,
        "futility": 0.05,
        "candidates": 2,
        "extra": 2,
    },
    "probes": [],
    "tail": 0.5,
    "metrics": [{"metric": "psnr", "kind": "floor", "margin": 30.0, "stratum": 28.0}],
}
PROFILE = parse_profile(GATE, "test")
NOISE = Speed(1.0, 0.97, 1.03, 3, (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))


class JudgedWorker(FakeWorker):
    """Makes a moving bar; the gate finds nothing wrong but what `is_good` says."""

    def is_good(self, stack: Any) -> bool:
        return True

    def compare(self, stack: Any, pair: Any, compare: Any, files: Any) -> Any:
        frames = np.full((6, 16, 16, 3), 0.2, np.float32)
        for t in range(6):
            frames[t, :, 2 * t : 2 * t + 3] = 0.8
        other = frames if self.is_good(stack) else frames[::-1]
        return compare(*pair, frames, other.copy()), {}

    def latents_after_undo(self, stack: Any, pair: Any) -> Any:
        return np.ones(3, np.float32), np.ones(3, np.float32)

    latents_at_identity = latents_after_undo

    def final_latents(self, stack: Any, pairs: Any) -> Any:
        return np.ones(3, np.float32)

    def measure_memory(self, stack: Any, pair: Any) -> MemoryReading:
        return MemoryReading(1, 1, 1, 1, 0, 1)

    def measure_cold_start(self, stack: Any, pair: Any) -> ColdStart:
        return ColdStart(0.5, 2.0, 1.0)


def session_of(
    worker: type[FakeWorker],
    journal: Any,
    folder: Any,
    diagnosis: Any,
    *,
    n_calibration=2,
    skills=("cache",),
    stacks=4,
) -> Session:
    """A session with one inline worker and a small gate."""
    executor = InlineExecutor(make_worker=worker)
    infos = executor.start_workers(WorkerPlan("fake", None, None, {}, folder))
    budget = Budget("t", 1.0, 5, 2, 3, stacks, 3)
    request = TuneRequest("fake", None, None, {}, budget, PROFILE, tuple(skills), 0, folder)
    crew = Crew(executor, infos)
    return Session(
        request=request,
        executor=executor,
        crew=crew,
        journal=journal,
        infos=infos,
        target=Target(infos[0].model, infos[0].hardware, infos[0].workload),
        calibration=tuple((f"prompt {n}", n) for n in range(n_calibration)),
        gate=Gate(crew, GateSetting(PROFILE, infos[0].prompts, 8.0, folder)),
        diagnosis=diagnosis,
        self_timing=NOISE,
    )
