"""`sol validate`."""

from __future__ import annotations

import typer

from sol.cli.app import EXIT_REJECTED, app, reporting
from sol.cli.options import (
    AnyHardware,
    ExecutorName,
    GateName,
    Json,
    OtherModel,
    RayAddress,
    RecipePath,
    Workers,
)
from sol.terminal import print_checks, print_json, print_line


@app.command()
@reporting
def validate(
    recipe: RecipePath,
    gate: GateName = None,
    model: OtherModel = None,
    any_hardware: AnyHardware = False,
    executor: ExecutorName = "auto",
    workers: Workers = None,
    ray_address: RayAddress = None,
    json_output: Json = False,
) -> None:
    """Send a recipe through the gate again; exit 1 if it is rejected."""
    from sol.commands.executor import ExecutorChoice, open_executor
    from sol.commands.validate import validate as run_validate
    from sol.models.catalog import default_gate
    from sol.recipe import load_recipe
    from sol.validator.profile import load_profile

    loaded = load_recipe(recipe)
    profile = load_profile(gate or default_gate(loaded.target.model.id))
    choice = ExecutorChoice(executor, workers, loaded.target.hardware.device, ray_address)
    with open_executor(choice) as runner:
        verdict = run_validate(loaded, profile, runner, model, any_hardware).verdict
    if json_output:
        print_json(verdict.to_json())
    else:
        print_line(f"{verdict.verdict}, by the {verdict.label} gate {verdict.profile}")
        print_checks(verdict.checks)
    if not verdict.is_accepted:
        raise typer.Exit(EXIT_REJECTED)
