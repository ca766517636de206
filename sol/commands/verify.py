"""`sol verify`: a recipe's evidence, measured again on this machine and compared."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from sol.commands.counted import Counts, compare_engagement
from sol.commands.recipe_target import check_worker, plan_for
from sol.commands.reproduction import (
    CORE_METRICS,
    Comparison,
    Verification,
    compare_memory,
    compare_quality,
    compare_speed,
    show_seconds,
    show_versions,
)
from sol.deploy import stack_of
from sol.errors import NoEffectError, SolError
from sol.models.prompts import screening_prompts
from sol.recipe import Measured, Recipe
from sol.search.records import WorkerInfo
from sol.search.worker import MeasuringWorker, Pair
from sol.stages.gate_prompts import confirmation_pairs
from sol.technique import Stack
from sol.validator.profile import load_profile, load_shipped_profile
from sol.validator.records import PairRecord, compare_pair

MIN_PROMPTS = 3
"""Fewer videos cannot tell a count that grows evenly from one that varies."""

_TIMED_SEED = 10_000


def verify(
    recipe: Recipe,
    n_pairs: int,
    n_prompts: int,
    model: str | None = None,
    gate: str | None = None,
    allow: Collection[str] = (),
) -> Verification:
    """Measures speed, engagement, memory, and quality on the first held-out prompts.

    Needs the core dependencies alone; what a start costs is left to `sol bench`. See
    `sol.commands.reproduction` for what counts as reproduced.

    Args:
        n_pairs: Interleaved pairs of the timing.
        n_prompts: Of the gate's confirmation, each with its first seed.
        gate: The profile that chose the prompts, if it is not one that ships.

    Raises:
        TargetMismatchError: The target differs in what `allow` does not name.
        SolError: Fewer than three prompts, or more than the gate has.
    """
    profile = load_profile(gate) if gate else load_shipped_profile(recipe.provenance.gate)
    n_held_out = profile.confirmation.looks[-1]
    if not MIN_PROMPTS <= n_prompts <= n_held_out:
        raise SolError(
            f"--prompts must be from {MIN_PROMPTS} to {n_held_out}, the prompts that "
            f"{profile.name} confirms with; got {n_prompts}."
        )
    with tempfile.TemporaryDirectory(prefix="sol-verify-") as folder:
        worker = MeasuringWorker(plan_for(recipe, model, Path(folder)))
        info = worker.describe()
        allowed = check_worker(recipe, info, allow)
        held_out = confirmation_pairs(profile, info.prompts)[:: profile.seeds][:n_prompts]
        try:
            rows = _measure(recipe, worker, info, [p.pair for p in held_out], n_pairs)
        except NoEffectError as error:
            rows = (Comparison("engagement", "engaged", "did not", False, str(error)),)
    return Verification((*rows, *_show_differences(recipe, info, allowed, profile.digest)))


def _measure(
    recipe: Recipe,
    worker: MeasuringWorker,
    info: WorkerInfo,
    held_out: list[Pair],
    n_pairs: int,
) -> tuple[Comparison, ...]:
    stack, evidence = stack_of(recipe), recipe.evidence
    timed = (screening_prompts(info.prompts, 1)[0].text, _TIMED_SEED)
    # Before the timing: it makes videos with the same pipeline, which would count as well.
    records, counts = _compare_videos(worker, stack, held_out)
    speed = worker.measure_speed(stack, timed, n_pairs)
    memory = worker.measure_memory(stack, timed)
    ratio = Measured(speed.median, speed.low, speed.high, speed.n, info.hardware.name)
    return (
        compare_speed(evidence.speedup, ratio),
        show_seconds("baseline", evidence.baseline_s, speed.baseline_s),
        show_seconds("accelerated", evidence.accelerated_s, speed.accelerated_s),
        *compare_engagement(evidence.engagement, counts),
        *compare_quality(evidence.quality, records),
        *compare_memory(evidence.memory, memory),
    )


def _compare_videos(
    worker: MeasuringWorker, stack: Stack, pairs: list[Pair]
) -> tuple[list[PairRecord], list[Counts]]:
    """Of each pair its record, and what had been counted since the first."""
    compare = functools.partial(compare_pair, metrics=CORE_METRICS)
    made = [worker.compare(stack, pair, compare) for pair in pairs]
    return [record for record, _ in made], [counts for _, counts in made]


def _show_differences(
    recipe: Recipe, info: WorkerInfo, allowed: Mapping[str, str], gate: str
) -> tuple[Comparison, ...]:
    """What may explain that something was not reproduced."""
    recorded = recipe.provenance
    rows = [
        Comparison(f"allowed: {name}", None, None, None, said) for name, said in allowed.items()
    ]
    if recorded.gate_digest != gate:
        rows.append(Comparison("gate profile", recorded.gate_digest[:19], gate[:19], None))
    return (*rows, *show_versions(recorded.versions, info.versions))
