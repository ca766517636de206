"""`sol bench`: the speed-up of a recipe, measured anew in this process."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sol.commands.recipe_target import check_worker, plan_for
from sol.deploy import stack_of
from sol.models.prompts import screening_prompts
from sol.recipe import ColdStart, Measured, Recipe
from sol.search.worker import MeasuringWorker
from sol.stages.recipe_numbers import measured_cold_start, measured_ratio, measured_seconds

_SEED = 10_000


@dataclass(frozen=True)
class BenchResult:
    """Paired, interleaved seconds of whole videos, and what the recipe costs once.

    Attributes:
        cold_start: None where the process that was to tell failed or took too long.
        overrides: By check, what differs from the recipe's target and was allowed to.
    """

    speedup: Measured
    baseline: Measured
    accelerated: Measured
    cold_start: ColdStart | None
    overrides: Mapping[str, str]

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
            "cold_start": self._cold_start_to_json(),
            "overrides": dict(self.overrides),
        }

    def _cold_start_to_json(self) -> dict[str, Any] | None:
        start = self.cold_start
        if start is None:
            return None
        return {
            "install_s": start.install_s,
            "first_extra_s": start.first_extra_s,
            "break_even": start.break_even,
        }


def bench(
    recipe: Recipe, n_pairs: int, model: str | None = None, allow: Collection[str] = ()
) -> BenchResult:
    """Times the recipe against the baseline in this process, after warm-up.

    Its start is timed in a process of its own, with empty caches of compiled code.

    Raises:
        TargetMismatchError: Something differs from the recipe's target that is not in `allow`.
        NoEffectError: A technique of the recipe never engaged.
    """
    with tempfile.TemporaryDirectory(prefix="sol-bench-") as folder:
        worker = MeasuringWorker(plan_for(recipe, model, Path(folder)))
        info = worker.describe()
        overrides = check_worker(recipe, info, allow)
        pair = (screening_prompts(info.prompts, 1)[0].text, _SEED)
        speed = worker.measure_speed(stack_of(recipe), pair, n_pairs)
        cold_start = worker.measure_cold_start(stack_of(recipe), pair)
    device = info.hardware.name
    return BenchResult(
        speedup=measured_ratio(speed, device),
        baseline=measured_seconds(speed.baseline_s, device),
        accelerated=measured_seconds(speed.accelerated_s, device),
        cold_start=measured_cold_start(cold_start, speed, device),
        overrides=overrides,
    )


def describe_cold_start(start: ColdStart | None) -> str:
    """What a recipe costs once, and when that is paid for, in one line."""
    if start is None:
        return "Cold start: not measured (the process that was to tell failed or took too long)."
    pays = "never pays for itself"
    if start.break_even is not None:
        pays = f"pays for itself after {start.break_even} videos"
    return (
        f"Cold start, with empty compile caches: {start.install_s:.2f} s to install and a "
        f"first video {start.first_extra_s:.2f} s longer; {pays}."
    )
