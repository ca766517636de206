"""`sol tune`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from sol.cli.app import EXIT_NOTHING, app, reporting
from sol.cli.options import (
    DEFAULT_VBENCH_ENV,
    BackendName,
    Device,
    DtypeName,
    ExecutorName,
    Frames,
    GateName,
    Guidance,
    Height,
    Json,
    ModelName,
    RayAddress,
    Steps,
    VBenchFolder,
    Width,
    Workers,
    workload_overrides,
)
from sol.terminal import print_error, print_json, print_tune_result


@app.command()
@reporting
def tune(
    model: ModelName,
    budget: Annotated[str, typer.Option(help="quick, standard or thorough.")] = "standard",
    skills: Annotated[str | None, typer.Option(help="Comma-separated; by default all.")] = None,
    gate: GateName = None,
    backend: BackendName = "auto",
    vbench_env: VBenchFolder = DEFAULT_VBENCH_ENV,
    output: Annotated[Path, typer.Option(help="Folder for runs.")] = Path("runs"),
    device: Device = None,
    dtype: DtypeName = None,
    height: Height = None,
    width: Width = None,
    frames: Frames = None,
    steps: Steps = None,
    guidance: Guidance = None,
    seed: Annotated[int, typer.Option(help="Of the search.")] = 0,
    executor: ExecutorName = "auto",
    workers: Workers = None,
    ray_address: RayAddress = None,
    json_output: Json = False,
) -> None:
    """Search, compose, validate; write a recipe and a report."""
    from sol.commands.executor import ExecutorChoice
    from sol.commands.tune import RunInterrupted, TuneOptions, run_tune
    from sol.live import ProgressView
    from sol.search.budget import get_budget

    options = TuneOptions(
        model=model,
        budget=budget,
        skills=skills,
        gate=gate,
        backend=backend,
        vbench_env=vbench_env.expanduser(),
        output=output,
        device=device,
        dtype=dtype,
        overrides=workload_overrides(height, width, frames, steps, guidance),
        seed=seed,
        executor=ExecutorChoice(executor, workers, device, ray_address),
    )
    try:
        with ProgressView(Console(stderr=True), get_budget(budget).search_s) as view:
            result = run_tune(options, view.hear)
    except RunInterrupted as interrupted:
        print_error(f"What was measured stays in {interrupted.folder}.")
        raise
    if json_output:
        print_json(result.to_json())
    else:
        print_tune_result(result)
    if result.recipe is None:
        raise typer.Exit(EXIT_NOTHING)
