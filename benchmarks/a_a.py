"""A/A runs: the whole gate on a model against itself, with as much noise as other kernels bring.

    python benchmarks/a_a.py --model pocket --runs 20 --out benchmarks/results/a-a-pocket.json

The prompts and the baseline's videos are the gate's own; every run has a jitter of its own.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from sol.commands.executor import ExecutorChoice, open_executor
from sol.models.catalog import default_gate
from sol.search.altered import Altered
from sol.search.crew import Crew
from sol.search.worker import WorkerPlan
from sol.stages.evidence import GateSetting
from sol.stages.gate import Gate, GateResult
from sol.validator.profile import load_profile

_APART = 1_000_000
"""Between the jitters of two runs; within one, each video adds its own seed."""


def main() -> None:
    """Runs and writes after every run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    profile = load_profile(default_gate(args.model))
    rows: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory() as name,
        open_executor(ExecutorChoice("auto", None, None, None)) as executor,
    ):
        folder = Path(name)
        infos = executor.start_workers(WorkerPlan(args.model, None, None, {}, folder / "baseline"))
        crew = Crew(executor, infos)
        fps = infos[0].workload.frame_rate
        setting = GateSetting(profile, infos[0].prompts, fps, folder)
        for run in range(args.runs):
            rows.append(_row(Gate(crew, setting).judge(Altered(jitter=_APART * run))))
            print(run, rows[-1], flush=True)
            _write(args.out, args.model, profile.digest, rows)


def _row(result: GateResult) -> dict[str, Any]:
    psnrs = [record.paired["psnr"] for record in result.pairs]
    return {
        "verdict": result.verdict.verdict,
        "reasons": list(result.verdict.reasons),
        "prompts": result.verdict.looks[-1].n_prompts,
        "psnr": float(np.mean(psnrs)),
        "worst_psnr": min(psnrs),
    }


def _write(out: Path, model: str, digest: str, rows: list[dict[str, Any]]) -> None:
    accepted = sum(row["verdict"] == "accepted" for row in rows)
    result = {
        "model": model,
        "gate_digest": digest,
        "runs": len(rows),
        "accepted": accepted,
        "rows": rows,
    }
    out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
