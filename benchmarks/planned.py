"""Planned schedules against uniform ones of as many computed steps, on held-out prompts.

    python benchmarks/planned.py --out benchmarks/results/planned-pocket.json

Plans are made, and rivals chosen, on calibration prompts alone. The uniform schedule has the
advantage: of three warm-ups and three kinds of reuse the best one *on the held-out prompts* is
taken. The error is that of the final latents, |x - x_baseline| / |x_baseline|, same seed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sol.models.prompts import calibration_prompts, screening_prompts
from sol.schedule import format_range, parse_range
from sol.search.worker import MeasuringWorker, Pair, WorkerPlan
from sol.skills.cache.planning.plan import skipped_of, uniform_plan

_WARMUPS = (2, 3, 4)
_KINDS = ("residual", "taylor1", "taylor2")
_HELD_OUT_SEED = 10_000


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--calibration", type=int, default=6, help="As the standard budget.")
    parser.add_argument("--prompts", type=int, default=16, help="Held out.")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        worker = MeasuringWorker(WorkerPlan(args.model, "cpu", None, {}, Path(folder)))
        info = worker.describe()
        calibration = _pairs(calibration_prompts(info.prompts, args.calibration), 0)
        screening = screening_prompts(info.prompts, args.prompts)
        held_out = _pairs([prompt.text for prompt in screening], _HELD_OUT_SEED)
        rows = _compare(worker, info.workload.steps, calibration, held_out)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    result = {
        "model": args.model,
        "calibration": args.calibration,
        "prompts": args.prompts,
        "rows": rows,
    }
    args.out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _compare(
    worker: MeasuringWorker, n_steps: int, calibration: Sequence[Pair], held_out: Sequence[Pair]
) -> list[dict[str, Any]]:
    diagnosis = worker.diagnose(calibration[:3])
    rows = []
    for group in worker.rivals("cache", diagnosis)["planned"]:
        errors = worker.latent_errors("planned", group, calibration)
        plan = group[errors.index(min(errors))]
        n_computed = n_steps - len(parse_range(plan["skip"], n_steps))
        (planned,) = worker.latent_errors("planned", [plan], held_out)
        uniform = {
            f"warm-up {warmup}, {kind}": _uniform(n_steps, n_computed, warmup, kind)
            for warmup in _WARMUPS
            for kind in _KINDS
            if n_computed > warmup + 1
        }
        found = worker.latent_errors("planned", list(uniform.values()), held_out)
        best = min(range(len(found)), key=found.__getitem__)
        rows.append(
            {
                "computed": n_computed,
                "planned": planned,
                "skip": plan["skip"],
                "reuse": plan["reuse"],
                "best_uniform": found[best],
                "best_uniform_is": list(uniform)[best],
                "uniform": dict(zip(uniform, found, strict=True)),
            }
        )
        print(
            f"{n_computed:3d} of {n_steps}: planned {planned:.4f} ({plan['reuse']}), best uniform "
            f"{found[best]:.4f} ({list(uniform)[best]})",
            flush=True,
        )
    ratios = [row["planned"] / row["best_uniform"] for row in rows]
    print(f"planned / best uniform, geometric mean: {statistics.geometric_mean(ratios):.3f}")
    return rows


def _uniform(n_steps: int, n_computed: int, warmup: int, kind: str) -> Mapping[str, Any]:
    plan = uniform_plan(n_steps, n_computed, warmup)
    return {"skip": format_range(skipped_of(plan, n_steps)), "reuse": kind}


def _pairs(prompts: Sequence[str], first_seed: int) -> tuple[Pair, ...]:
    return tuple((prompt, first_seed + place) for place, prompt in enumerate(prompts))


if __name__ == "__main__":
    main()
