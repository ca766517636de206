"""Stacks judged by the gate on held-out prompts."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from sol.models.catalog import default_gate
from sol.search.crew import Crew
from sol.search.executors.inline import InlineExecutor
from sol.search.worker import WorkerPlan
from sol.stages.evidence import GateSetting
from sol.stages.gate import Gate
from sol.technique import Stack
from sol.validator.profile import load_profile


def judge_stacks(model: str, stacks: Sequence[Stack]) -> Iterator[str]:
    """The verdict on each, by a gate of its own, as the first stack of a run would have it."""
    with tempfile.TemporaryDirectory() as folder, closing(InlineExecutor()) as executor:
        infos = executor.start_workers(WorkerPlan(model, "cpu", None, {}, Path(folder)))
        crew = Crew(executor, infos)
        profile = load_profile(default_gate(model))
        setting = GateSetting(
            profile, infos[0].prompts, infos[0].workload.frame_rate, Path(folder)
        )
        for stack in stacks:
            verdict = Gate(crew, setting).judge(stack).verdict
            reason = verdict.reasons[0].split(":")[0] if verdict.reasons else ""
            yield f"{verdict.verdict} {reason}".strip()
