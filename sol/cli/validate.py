"""`sol validate`: a recipe at the gate again, or the gate itself on a model."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sol.cli.app import EXIT_REJECTED, app, reporting
from sol.cli.options import (
    DEFAULT_VBENCH_ENV,
    Allow,
    BackendName,
    Device,
    DtypeName,
    ExecutorName,
    GateName,
    Json,
    OtherModel,
    RayAddress,
    VBenchFolder,
    Workers,
)
from sol.errors import SolError
from sol.terminal import print_checks, print_json, print_line, print_progress, print_table

if TYPE_CHECKING:
    from sol.commands.executor import ExecutorChoice
    from sol.commands.validate import GateChoice
    from sol.stages.self_test import PlantedResult
    from sol.validator.verdict import Look


_Named = tuple[str | None, str, Path]
"""Gate, back-end, and folder of VBench, as the user named them."""


@app.command()
@reporting
def validate(
    recipe: Annotated[Path | None, typer.Argument(help="A recipe file.")] = None,
    self_test: Annotated[
        bool,
        typer.Option("--self-test", help="Try the gate itself on a model, with planted damage."),
    ] = False,
    gate: GateName = None,
    backend: BackendName = "auto",
    vbench_env: VBenchFolder = DEFAULT_VBENCH_ENV,
    model: OtherModel = None,
    device: Device = None,
    dtype: DtypeName = None,
    allow: Allow = None,
    executor: ExecutorName = "auto",
    workers: Workers = None,
    ray_address: RayAddress = None,
    json_output: Json = False,
) -> None:
    """Send a recipe through the gate again, or try the gate; exit 1 if that fails."""
    from sol.commands.executor import ExecutorChoice

    if self_test == (recipe is not None):
        raise SolError("Pass either a recipe, or --self-test with --model.")
    runners = ExecutorChoice(executor, workers, device, ray_address)
    if recipe is None:
        if model is None:
            raise SolError("--self-test plants damage into a model's videos: pass --model.")
        _try_gate(model, device, dtype, (gate, backend, vbench_env), runners, json_output)
        return
    _validate(recipe, model, allow or (), (gate, backend, vbench_env), runners, json_output)


def _validate(
    recipe: Path,
    model: str | None,
    allow: Collection[str],
    named: _Named,
    runners: ExecutorChoice,
    json_output: bool,
) -> None:
    from dataclasses import replace

    from sol.commands.executor import open_executor
    from sol.commands.validate import validate as run_validate
    from sol.recipe import load_recipe

    loaded = load_recipe(recipe)
    choice = _choose_gate(named, loaded.target.model.id, loaded.target.hardware.device)
    runners = replace(runners, device=loaded.target.hardware.device)
    with open_executor(runners) as runner:
        verdict = run_validate(loaded, choice, runner, model, allow, _tell_look).verdict
    if json_output:
        print_json(verdict.to_json())
    else:
        print_line(f"{verdict.verdict}, by the {verdict.label} gate {verdict.profile}")
        print_checks(verdict.checks)
    if not verdict.is_accepted:
        raise typer.Exit(EXIT_REJECTED)


def _try_gate(
    model: str,
    device: str | None,
    dtype: str | None,
    named: _Named,
    runners: ExecutorChoice,
    json_output: bool,
) -> None:
    from sol.commands.executor import open_executor
    from sol.commands.validate import ModelChoice, try_gate

    choice = _choose_gate(named, model, device)
    with open_executor(runners) as runner:
        results = try_gate(ModelChoice(model, device, dtype, {}), choice, runner, _tell_planted)
    wrong = [result for result in results if not result.is_right]
    if json_output:
        print_json([result.to_json() for result in results])
    else:
        label = results[0].verdict.label
        print_line(f"The {label} gate {choice.profile.name} on {model}:")
        print_table(("planted", "verdict", "", "decided in", "caught by"), _rows(results))
        print_line(f"{len(results) - len(wrong)} of {len(results)} as they must be.")
    if wrong:
        raise typer.Exit(EXIT_REJECTED)


def _choose_gate(named: _Named, model: str, device: str | None) -> GateChoice:
    from sol.commands.backend import choose_scorer
    from sol.commands.validate import GateChoice
    from sol.models.catalog import default_gate
    from sol.validator.profile import load_profile

    gate, backend, vbench_env = named
    profile = load_profile(gate or default_gate(model))
    return GateChoice(profile, choose_scorer(backend, profile, vbench_env.expanduser(), device))


def _rows(results: tuple[PlantedResult, ...]) -> list[tuple[str, ...]]:
    return [
        (
            result.planted.name,
            result.verdict.verdict,
            "as it must be" if result.is_right else "WRONG",
            result.verdict.stage,
            ", ".join(result.caught_by) or "-",
        )
        for result in results
    ]


def _tell_look(entry: Look) -> None:
    print_progress(f"{entry.phase}, {entry.n_prompts} prompts: {entry.outcome} {entry.reason}")


def _tell_planted(result: PlantedResult) -> None:
    print_progress(f"{result.planted.name}: {result.verdict.verdict} in {result.verdict.stage}")
