"""`sol validate`: a recipe at the gate, anew."""

from __future__ import annotations

import tempfile
from pathlib import Path

from sol.commands.recipe_target import check_worker, plan_for
from sol.deploy import stack_of
from sol.recipe import Recipe
from sol.search.crew import Crew, Job
from sol.search.executors.base import Executor
from sol.search.orchestrator import TRIAL_LIMIT_S
from sol.stages.gate import GateResult, run_gate
from sol.stages.start import held_out_pairs
from sol.validator.profile import Profile


def validate(
    recipe: Recipe,
    profile: Profile,
    executor: Executor,
    model: str | None = None,
    allow_other_hardware: bool = False,
) -> GateResult:
    """Renders the held-out pairs with and without the recipe, and lets the gate decide.

    Raises:
        TargetMismatchError: Other weights, or another machine without leave.
    """
    with tempfile.TemporaryDirectory(prefix="sol-validate-") as folder:
        infos = executor.start_workers(plan_for(recipe, model, Path(folder)))
        check_worker(recipe, infos[0], allow_other_hardware)
        crew = Crew(executor, infos)
        pairs = held_out_pairs(profile, infos[0].prompts)
        crew.run_all([Job("make_baseline", ([pair],), TRIAL_LIMIT_S) for pair in pairs])
        return run_gate(crew, stack_of(recipe), profile, pairs)
