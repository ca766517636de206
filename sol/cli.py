"""The `sol` command.

Results go to stdout, progress to stderr. Exit codes: 0 done, 1 rejected, 2 a problem the user
can fix, 3 nothing accepted, 130 interrupted.
"""

from __future__ import annotations

import functools
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn, ParamSpec

import typer
from rich.console import Console

from sol.errors import SolError
from sol.terminal import (
    print_checks,
    print_error,
    print_json,
    print_line,
    print_table,
    print_tune_result,
)

# Heavy imports are inside the commands: `sol --help` should not wait for torch.

EXIT_REJECTED, EXIT_USER, EXIT_NOTHING, EXIT_INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    name="sol",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Tunes the inference of video diffusion models and applies the recipes it found.",
)
P = ParamSpec("P")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
ModelName = Annotated[str, typer.Option("--model", "-m", help="Short name, folder, or Hub id.")]
OtherModel = Annotated[
    str | None, typer.Option("--model", "-m", help="Where the recipe's model is, if elsewhere.")
]
RecipePath = Annotated[Path, typer.Argument(help="A recipe file.")]
AnyHardware = Annotated[
    bool, typer.Option("--any-hardware", help="Use a recipe that was measured on another machine.")
]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; by default CUDA if there is one.")]
DtypeName = Annotated[str | None, typer.Option("--dtype", help="float32, bfloat16 or float16.")]
ExecutorName = Annotated[str, typer.Option("--executor", help="auto, ray or inline.")]
Workers = Annotated[int | None, typer.Option(help="Measuring workers; by default one per device.")]
RayAddress = Annotated[str | None, typer.Option(help="Join this Ray cluster.")]
GateName = Annotated[
    str | None,
    typer.Option("--gate", help="A gate profile, by name or file; by default the model's."),
]
Height = Annotated[int | None, typer.Option(help="Pixels; by default the model's.")]
Width = Annotated[int | None, typer.Option(help="Pixels; by default the model's.")]
Frames = Annotated[int | None, typer.Option(help="Frames; by default the model's.")]
Steps = Annotated[int | None, typer.Option(help="Denoising steps; by default the model's.")]
Guidance = Annotated[float | None, typer.Option(help="Guidance scale; by default the model's.")]


def reporting(command: Callable[P, None]) -> Callable[P, None]:
    """Errors that a user can fix print their message and end with exit code 2."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except SolError as error:
            _fail(str(error), EXIT_USER, bool(kwargs.get("json_output")))
        except KeyboardInterrupt:
            _fail("Interrupted.", EXIT_INTERRUPTED, bool(kwargs.get("json_output")))

    return run


@app.command()
@reporting
def tune(
    model: ModelName,
    budget: Annotated[str, typer.Option(help="quick, standard or thorough.")] = "standard",
    skills: Annotated[str | None, typer.Option(help="Comma-separated; by default all.")] = None,
    gate: GateName = None,
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
        output=output,
        device=device,
        dtype=dtype,
        overrides=_overrides(height, width, frames, steps, guidance),
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


@app.command()
@reporting
def bench(
    recipe: RecipePath,
    pairs: Annotated[int, typer.Option(help="Interleaved pairs.")] = 15,
    model: OtherModel = None,
    any_hardware: AnyHardware = False,
    json_output: Json = False,
) -> None:
    """Measure a recipe's speed-up in this process, end to end."""
    from sol.commands.bench import bench as run_bench
    from sol.recipe import load_recipe

    result = run_bench(load_recipe(recipe), pairs, model, any_hardware)
    if json_output:
        print_json(result.to_json())
        return
    speedup, base, fast = result.speedup, result.baseline, result.accelerated
    print_line(
        f"{speedup.median:.2f}x [{speedup.low:.2f}, {speedup.high:.2f}], n={speedup.n} pairs, "
        f"{base.median:.3f} s -> {fast.median:.3f} s a video, {speedup.device}"
    )


@app.command()
@reporting
def generate(
    prompt: Annotated[str, typer.Option(help="What the video shows.")],
    output: Annotated[Path, typer.Option("-o", "--output", help=".mp4, .gif or .webp")],
    recipe: Annotated[Path | None, typer.Option(help="A recipe file.")] = None,
    model: OtherModel = None,
    seed: Annotated[int, typer.Option(help="Of the initial noise.")] = 0,
    height: Height = None,
    width: Width = None,
    frames: Frames = None,
    steps: Steps = None,
    guidance: Guidance = None,
    any_hardware: AnyHardware = False,
    json_output: Json = False,
) -> None:
    """Make one video, with a recipe or without."""
    from sol.commands.generate import generate as run_generate
    from sol.recipe import load_recipe

    if recipe is None and model is None:
        raise SolError("Nothing to generate with: pass --recipe or --model.")
    loaded = load_recipe(recipe) if recipe else None
    overrides = _overrides(height, width, frames, steps, guidance)
    made = run_generate(prompt, seed, output, model, loaded, overrides, any_hardware)
    if json_output:
        print_json({"path": str(made.path), "seconds": made.seconds, "evidence": made.evidence})
        return
    print_line(f"{made.path}: {made.seconds:.2f} s")
    for name, counts in made.evidence.items():
        print_line(f"  {name}: " + ", ".join(f"{key} {count}" for key, count in counts.items()))


@app.command("inspect")
@reporting
def inspect_command(
    model: ModelName, device: Device = None, dtype: DtypeName = None, json_output: Json = False
) -> None:
    """Say which techniques apply to a model here, and why others do not."""
    from sol.commands.inspect import inspect_model

    found = inspect_model(model, device, dtype)
    if json_output:
        print_json(found)
        return
    print_line(f"{found['model']}: family {found['family']}, guidance {found['guidance']}")
    rows = [
        (str(r["name"]), str(r["skill"]), "yes" if r["applies"] else "no", str(r["reason"]))
        for r in found["techniques"]
    ]
    print_table(("technique", "skill", "applies", "reason"), rows)


@app.command()
@reporting
def probe(device: Device = None, json_output: Json = False) -> None:
    """Show the machine as a recipe would record it."""
    from dataclasses import asdict

    from sol.measure.hardware import probe as probe_hardware
    from sol.measure.hardware import versions

    data = {"hardware": asdict(probe_hardware(device)), "versions": versions()}
    if json_output:
        print_json(data)
        return
    for section in data.values():
        for key, value in section.items():
            print_line(f"{key}: {value}")


@app.command()
@reporting
def models(json_output: Json = False) -> None:
    """List the models with short names."""
    from sol.models.catalog import CATALOG

    if json_output:
        print_json([{"name": e.name, "summary": e.summary} for e in CATALOG.values()])
        return
    print_table(("model", "what"), [(e.name, e.summary) for e in CATALOG.values()])


@app.command()
@reporting
def skills(json_output: Json = False) -> None:
    """List the skills and their techniques."""
    from sol.skills.registry import TECHNIQUES

    rows = [(t.skill, t.name, str(t.exactness), t.summary) for t in TECHNIQUES.values()]
    titles = ("skill", "technique", "exactness", "what")
    if json_output:
        print_json([dict(zip(titles, row, strict=True)) for row in rows])
        return
    print_table(titles, rows)


def main() -> None:
    """Entry point of the `sol` command."""
    # A scheduler ends a job with SIGTERM: the same orderly end as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    app()


def _interrupt(signum: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt


def _overrides(
    height: int | None,
    width: int | None,
    frames: int | None,
    steps: int | None,
    guidance: float | None,
) -> dict[str, Any]:
    """Workload fields by their names; None where the option was left out."""
    return {
        "height": height,
        "width": width,
        "num_frames": frames,
        "steps": steps,
        "guidance_scale": guidance,
    }


def _fail(message: str, code: int, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"error": message})
    print_error(message)
    raise typer.Exit(code)
