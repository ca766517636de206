"""`sol validate`: a recipe at the gate, anew; or the gate itself, tried on a model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sol.commands.recipe_target import check_worker, plan_for
from sol.deploy import stack_of
from sol.recipe import Recipe
from sol.search.crew import Crew
from sol.search.executors.base import Executor
from sol.search.records import WorkerInfo
from sol.search.worker import WorkerPlan
from sol.stages.evidence import GateSetting, VideoScorer
from sol.stages.gate import Gate, GateResult, Hear
from sol.stages.self_test import PlantedResult, list_planted, run_self_test
from sol.validator.profile import Profile


@dataclass(frozen=True)
class GateChoice:
    """Which gate.

    Attributes:
        scorer: Where the back-end is VBench.
    """

    profile: Profile
    scorer: VideoScorer | None = None


@dataclass(frozen=True)
class ModelChoice:
    """Which model, and how it is called."""

    model: str
    device: str | None
    dtype: str | None
    overrides: Mapping[str, Any]


def validate(
    recipe: Recipe,
    gate: GateChoice,
    executor: Executor,
    model: str | None = None,
    allow: Collection[str] = (),
    hear: Hear = lambda _: None,
) -> GateResult:
    """Renders the held-out pairs with and without the recipe, and lets the gate decide.

    Raises:
        TargetMismatchError: Something differs from the recipe's target that is not in `allow`.
    """
    with _folder() as folder:
        infos = executor.start_workers(plan_for(recipe, model, folder / "baseline"))
        check_worker(recipe, infos[0], allow)
        setting = _setting(gate, infos[0], folder)
        return Gate(Crew(executor, infos), setting, hear).judge(stack_of(recipe))


def try_gate(
    choice: ModelChoice,
    gate: GateChoice,
    executor: Executor,
    hear: Callable[[PlantedResult], None] = lambda _: None,
) -> tuple[PlantedResult, ...]:
    """Damage planted into a model's own videos, and the baseline against itself."""
    with _folder() as folder:
        plan = WorkerPlan(
            model=choice.model,
            device=choice.device,
            dtype=choice.dtype,
            overrides=choice.overrides,
            folder=folder / "baseline",
        )
        infos = executor.start_workers(plan)
        setting = _setting(gate, infos[0], folder)
        planted = list_planted(infos[0].workload, infos[0].prompts)
        return run_self_test(Crew(executor, infos), setting, planted, hear)


def _setting(gate: GateChoice, info: WorkerInfo, folder: Path) -> GateSetting:
    return GateSetting(gate.profile, info.prompts, info.workload.frame_rate, folder, gate.scorer)


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sol-validate-") as name:
        yield Path(name)
