"""`sol tune`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sol.cli.app import EXIT_NOTHING, app, reporting
from sol.cli.loading_options import Revision
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
    Minutes,
    RayAddress,
    Resume,
    Steps,
    Storage,
    TunedModel,
    VBenchFolder,
    Width,
    WorkerMemory,
    Workers,
    typed_options,
    workload_overrides,
)
from sol.errors import SolError
from sol.terminal import print_error, print_json, print_line, print_tune_result

if TYPE_CHECKING:
    from sol.commands.run_result import RunResult
    from sol.commands.tune_options import TuneOptions


@app.command()
@reporting
def tune(
    context: typer.Context,
    model: TunedModel = None,
    revision: Revision = None,
    budget: Annotated[str, typer.Option(help="quick, standard or thorough.")] = "standard",
    minutes: Minutes = None,
    skills: Annotated[str | None, typer.Option(help="Comma-separated; by default all.")] = None,
    gate: GateName = None,
    backend: BackendName = "auto",
    vbench_env: VBenchFolder = DEFAULT_VBENCH_ENV,
    output: Annotated[Path, typer.Option(help="Folder for runs.")] = Path("runs"),
    resume: Resume = None,
    storage: Storage = None,
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
    worker_memory_gb: WorkerMemory = None,
    json_output: Json = False,
) -> None:
    """Search, compose, validate; write a recipe and a report."""
    from sol.commands.executor import ExecutorChoice
    from sol.commands.run_file import load_run
    from sol.commands.run_result import find_result
    from sol.commands.tune_options import TuneOptions, merge

    if model is None and resume is None:
        raise SolError("Nothing to tune: pass --model, or --resume with the folder of a run.")
    options = TuneOptions(
        model=_pin(model, revision),
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
        executor=ExecutorChoice(executor, workers, device, ray_address, worker_memory_gb),
        minutes=minutes,
        storage=storage,
    )
    if resume is not None:
        options = merge(load_run(resume).options, options, typed_options(context))
    finished = None if resume is None else find_result(resume)
    if finished is not None:
        _show_finished(finished, json_output)
    else:
        _run(options, resume, json_output)


def _pin(model: str | None, revision: str | None) -> str:
    """The model's name with its revision in it: so every worker loads the same."""
    from sol.models.catalog import split_revision

    if revision is None:
        return model or ""
    if model is None:
        raise SolError("--revision is of a model: pass --model as well. A run keeps its own.")
    if split_revision(model)[1] not in (None, revision):
        raise SolError(f"{model} names a revision, and --revision is {revision}: give one.")
    return f"{split_revision(model)[0]}@{revision}"


def _run(options: TuneOptions, folder: Path | None, json_output: bool) -> None:
    from sol.commands.tune import RunInterrupted, resume_tune, run_tune
    from sol.live import ProgressView

    try:
        with ProgressView(Console(stderr=True), options.find_budget().search_s) as view:
            if folder is None:
                result = run_tune(options, view.hear)
            else:
                result = resume_tune(folder, options, view.hear)
    except RunInterrupted as interrupted:
        there = interrupted.folder
        print_error(f"What was measured stays in {there}. Go on: sol tune --resume {there}")
        raise
    if json_output:
        print_json(result.to_json())
    else:
        print_tune_result(result)
    if result.recipe is None:
        raise typer.Exit(EXIT_NOTHING)


def _show_finished(result: RunResult, json_output: bool) -> None:
    if json_output:
        print_json(result.data)
    else:
        for line in result.lines:
            print_line(line)
    if not result.is_accepted:
        raise typer.Exit(EXIT_NOTHING)
