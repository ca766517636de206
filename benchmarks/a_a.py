"""A/A runs: the whole gate on a model against itself, with as much noise as other kernels bring.

    python benchmarks/a_a.py --model pocket --runs 20 --out benchmarks/results/a-a-pocket.json

Every video that the gate may look at is made with several jitters; for each, a run takes one
of them at random, and the gate decides as it does for a stack.
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sol.commands.executor import ExecutorChoice, open_executor
from sol.models.catalog import default_gate
from sol.models.strata import STRATA
from sol.search.altered import Altered
from sol.search.crew import TRIAL_LIMIT_S, Crew, Job
from sol.search.executors.base import Done
from sol.search.worker import Pair, WorkerPlan
from sol.stages.evidence import GateSetting
from sol.stages.gate import Gate, GateResult
from sol.stages.gate_prompts import confirmation_pairs, extra_pairs, screening_pairs
from sol.validator.profile import Profile, load_profile
from sol.validator.records import compare_pair

_APART = 1_000_000
"""Between two jitters; within one, each video adds its own seed."""
Made = Mapping[tuple[str, Pair], list[Any]]
"""By method and pair, what each jitter led to."""


@dataclass(frozen=True)
class Replay:
    """Answers a gate's jobs from what was made before."""

    made: Made
    rng: np.random.Generator

    def run_all(self, jobs: Iterable[Job]) -> list[Done]:
        """For each job one of its answers, at random."""
        return [Done(0, 0, value=self._draw(job)) for job in jobs]

    def _draw(self, job: Job) -> Any:
        answers = self.made[job.method, job.args[1]]
        return answers[self.rng.integers(len(answers))]


def main() -> None:
    """Makes the videos, runs, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--jitters", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    profile = load_profile(default_gate(args.model))
    with (
        tempfile.TemporaryDirectory() as name,
        open_executor(ExecutorChoice("auto", None, None, None)) as executor,
    ):
        infos = executor.start_workers(WorkerPlan(args.model, None, None, {}, Path(name)))
        prompts, fps = infos[0].prompts, infos[0].workload.frame_rate
        made = _make(Crew(executor, infos), profile, prompts, args.jitters)
    rows = []
    for run in range(args.runs):
        replay: Any = Replay(made, np.random.default_rng(run))
        with tempfile.TemporaryDirectory() as name:
            gate = Gate(replay, GateSetting(profile, prompts, fps, Path(name)))
            rows.append(_row(gate.judge(Altered(jitter=run))))
        print(run, rows[-1], flush=True)
    _write(args.out, args.model, profile.digest, args.jitters, rows)


def _make(crew: Crew, profile: Profile, prompts: str, n_jitters: int) -> Made:
    screening = screening_pairs(profile, prompts)
    extra = [pair for stratum in STRATA for pair in extra_pairs(profile, prompts, stratum)]
    pairs = [p.pair for p in (*screening, *confirmation_pairs(profile, prompts), *extra)]
    compare = functools.partial(compare_pair, metrics=profile.metric_names)
    guided = pairs[: profile.guidance.prompts] if profile.guidance else []
    jobs = [
        job
        for arm in (Altered(jitter=_APART * k) for k in range(n_jitters))
        for job in (
            *(Job("compare", (arm, pair, compare), TRIAL_LIMIT_S) for pair in pairs),
            *(Job("effective_guidance", (arm, pair), TRIAL_LIMIT_S) for pair in guided),
        )
    ]
    made: dict[tuple[str, Pair], list[Any]] = {}
    for job, done in zip(jobs, crew.run_all(jobs), strict=True):
        if done.failure is not None:
            raise SystemExit(f"{job.method} of {job.args[1]} failed: {done.reason}")
        made.setdefault((job.method, job.args[1]), []).append(done.value)
    return made


def _row(result: GateResult) -> dict[str, Any]:
    psnrs = [record.paired["psnr"] for record in result.pairs]
    return {
        "verdict": result.verdict.verdict,
        "reasons": list(result.verdict.reasons),
        "prompts": result.verdict.looks[-1].n_prompts,
        "psnr": float(np.mean(psnrs)),
        "worst_psnr": min(psnrs),
    }


def _write(out: Path, model: str, digest: str, n_jitters: int, rows: list[dict[str, Any]]) -> None:
    result = {
        "model": model,
        "gate_digest": digest,
        "jitters": n_jitters,
        "runs": len(rows),
        "accepted": sum(row["verdict"] == "accepted" for row in rows),
        "rows": rows,
    }
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
