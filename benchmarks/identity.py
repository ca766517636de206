"""What each technique costs at its identity setting: output bit by bit, seconds as a ratio.

    python benchmarks/identity.py --skill cache --out benchmarks/results/identity-pocket.json

Whole videos on a CPU, baseline and technique interleaved in this process, in processor seconds: on
one thread they are the wall's, without what other processes take. The overhead is that of the
fastest run of each arm: what disturbs a run only adds to it. The first row is the baseline against
itself: what the timing reads where there is nothing to see.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from sol.models.families import describe_roles
from sol.models.loading import load_model
from sol.models.prompts import calibration_prompts
from sol.search.worker import MeasuringWorker, WorkerPlan
from sol.skills.registry import TECHNIQUES
from sol.technique import Stack, StackItem, find_obstacle

# Techniques that need a table before they can be installed at all.
_TABLES = {
    "magcache": {"ratios": {"both": [1.0] * 24}},
    "diffusers_mag": {"mag_ratios": [1.0] * 24},
}


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--skill", default="cache")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    roles = describe_roles(load_model(args.model, "cpu").pipeline)
    names = [
        technique.name
        for technique in TECHNIQUES.values()
        if technique.skill == args.skill
        and technique.identity is not None
        and find_obstacle(technique, roles) is None
    ]
    with tempfile.TemporaryDirectory() as folder:
        worker = MeasuringWorker(WorkerPlan(args.model, "cpu", None, {}, Path(folder)))
        pair = (calibration_prompts(worker.describe().prompts, 1)[0], 0)
        rows = [_measure(worker, "baseline", (), pair, args.pairs)]
        for name in names:
            config = {**_TABLES.get(name, {}), **(TECHNIQUES[name].identity or {})}
            stack = (StackItem(name, config),)
            rows.append(_measure(worker, name, stack, pair, args.pairs))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({"model": args.model, "rows": rows}, indent=2) + "\n")


def _measure(
    worker: MeasuringWorker, name: str, stack: Stack, pair: tuple[str, int], n_pairs: int
) -> dict[str, Any]:
    latents = worker.latents_at_identity(stack, pair)
    speed = worker.measure_speed(stack, pair, n_pairs, False, time.process_time)
    overhead = min(speed.accelerated_s) / min(speed.baseline_s) - 1
    same = bool(np.array_equal(*latents))
    print(
        f"{name:22s} overhead {overhead:+.1%} (speed {speed.median:.3f}x [{speed.low:.3f}, "
        f"{speed.high:.3f}], n={speed.n}), bit-identical: {same}",
        flush=True,
    )
    return {
        "technique": name,
        "bit_identical": same,
        "overhead": overhead,
        "speed": [speed.median, speed.low, speed.high],
        "n": speed.n,
    }


if __name__ == "__main__":
    main()
