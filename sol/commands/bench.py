"""`sol bench`: the speed-up of a recipe, measured anew in this process."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sol.commands.recipe_target import check_worker, plan_for
from sol.deploy import stack_of
from sol.models.prompts import screening_prompts
from sol.recipe import Measured, Recipe
from sol.search.worker import MeasuringWorker
from sol.stages.recipe import measured_ratio, measured_seconds

_SEED = 10_000


@dataclass(frozen=True)
class BenchResult:
    """Paired, interleaved seconds of whole videos."""

    speedup: Measured
    baseline: Measured
    accelerated: Measured

    def to_json(self) -> dict[str, Any]:
        """What `sol bench --json` prints."""
        return {
            "speedup": {
                "median": self.speedup.median,
                "low": self.speedup.low,
                "high": self.speedup.high,
            },
            "baseline_s": self.baseline.median,
            "accelerated_s": self.accelerated.median,
            "n": self.speedup.n,
            "device": self.speedup.device,
        }


def bench(
    recipe: Recipe, n_pairs: int, model: str | None = None, allow_other_hardware: bool = False
) -> BenchResult:
    """Times the recipe against the baseline in this process, after warm-up.

    Raises:
        TargetMismatchError: Other weights, or another machine without leave.
        NoEffectError: A technique of the recipe never engaged.
    """
    with tempfile.TemporaryDirectory(prefix="sol-bench-") as folder:
        worker = MeasuringWorker(plan_for(recipe, model, Path(folder)))
        info = worker.describe()
        check_worker(recipe, info, allow_other_hardware)
        pair = (screening_prompts(info.prompts, 1)[0].text, _SEED)
        speed = worker.measure_speed(stack_of(recipe), pair, n_pairs)
    device = info.hardware.name
    return BenchResult(
        speedup=measured_ratio(speed, device),
        baseline=measured_seconds(speed.baseline_s, device),
        accelerated=measured_seconds(speed.accelerated_s, device),
    )
