"""The `sol` command. The only module that prints.

Results go to stdout, progress to stderr. Exit codes: 0 done, 1 rejected, 2 a problem the user
can fix, 3 nothing accepted, 130 interrupted.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, ParamSpec

import typer
from rich.console import Console
from rich.table import Table

from sol.errors import SolError, UnknownNameError

if TYPE_CHECKING:
    from sol.search.executors.base import Executor
    from sol.tune import TuneResult

# Heavy imports are inside the commands: `sol --help` should not wait for torch.

EXIT_REJECTED, EXIT_USER, EXIT_NOTHING, EXIT_INTERRUPTED = 1, 2, 3, 130
EXECUTORS = ("auto", "ray", "inline")
_MAX_CPU_WORKERS = 8

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
Device = Annotated[
    str | None, typer.Option(help="cpu or cuda; by default CUDA where there is one.")
]
DtypeName = Annotated[str | None, typer.Option("--dtype", help="float32, bfloat16 or float16.")]
ExecutorName = Annotated[str, typer.Option("--executor", help="auto, ray or inline.")]
Workers = Annotated[int | None, typer.Option(help="Measuring workers; by default one per device.")]
RayAddress = Annotated[str | None, typer.Option(help="Join this Ray cluster.")]
GateName = Annotated[str, typer.Option("--gate", help="A gate profile, by name or file.")]


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
    gate: GateName = "near-lossless",
    output: Annotated[Path, typer.Option(help="Folder for runs.")] = Path("runs"),
    device: Device = None,
    dtype: DtypeName = None,
    height: int | None = None,
    width: int | None = None,
    frames: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    seed: Annotated[int, typer.Option(help="Of the search.")] = 0,
    executor: ExecutorName = "auto",
    workers: Workers = None,
    ray_address: RayAddress = None,
    json_output: Json = False,
) -> None:
    """Search, compose, validate; write a recipe and a report."""
    from sol.live import ProgressView
    from sol.models.loading import default_workload
    from sol.search.budget import get_budget
    from sol.search.journal import Journal
    from sol.stages.folder import discard_if_unused, make_run_folder
    from sol.stages.request import TuneRequest
    from sol.tune import tune as run_tune
    from sol.validator.profile import load_profile

    _check_executor(executor, workers)
    chosen_budget, profile = get_budget(budget), load_profile(gate)
    chosen_skills = _parse_skills(skills)
    overrides = {
        "height": height,
        "width": width,
        "num_frames": frames,
        "steps": steps,
        "guidance_scale": guidance,
    }
    default_workload(model).with_overrides(overrides)
    folder = make_run_folder(output, model)
    request = TuneRequest(
        model, device, dtype, overrides, chosen_budget, profile, chosen_skills, seed, folder
    )
    log = Console(stderr=True)
    view = ProgressView(log, chosen_budget.search_s)
    try:
        with (
            Journal(folder / "journal.jsonl", time.monotonic) as journal,
            _executor(executor, workers, device, ray_address) as runner,
            view,
        ):
            journal.listen(view.hear)
            result = run_tune(request, runner, journal)
    except SolError:
        discard_if_unused(folder)
        raise
    except KeyboardInterrupt:
        log.print(f"What was measured stays in {folder}.", highlight=False)
        raise
    _print_tune(result, json_output)
    if result.recipe is None:
        raise typer.Exit(EXIT_NOTHING)


@app.command()
@reporting
def validate(
    recipe: RecipePath,
    gate: GateName = "near-lossless",
    model: OtherModel = None,
    any_hardware: AnyHardware = False,
    executor: ExecutorName = "auto",
    workers: Workers = None,
    ray_address: RayAddress = None,
    json_output: Json = False,
) -> None:
    """Send a recipe through the gate again; exit 1 if it is rejected."""
    from sol.commands.validate import validate as run_validate
    from sol.recipe import load_recipe
    from sol.validator.profile import load_profile

    loaded, profile = load_recipe(recipe), load_profile(gate)
    device = loaded.target.hardware.device
    with _executor(executor, workers, device, ray_address) as runner:
        verdict = run_validate(loaded, profile, runner, model, any_hardware).verdict
    if json_output:
        _print_json(verdict.to_json())
    else:
        _out().print(f"{verdict.verdict}, by the {verdict.label} gate {verdict.profile}")
        _print_checks(verdict.checks)
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
        _print_json(result.to_json())
        return
    speedup, base, fast = result.speedup, result.baseline, result.accelerated
    _out().print(
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
    seed: int = 0,
    height: int | None = None,
    width: int | None = None,
    frames: int | None = None,
    steps: int | None = None,
    guidance: float | None = None,
    any_hardware: AnyHardware = False,
    json_output: Json = False,
) -> None:
    """Make one video, with a recipe or without."""
    from sol.commands.generate import generate as run_generate
    from sol.recipe import load_recipe

    if recipe is None and model is None:
        raise SolError("Nothing to generate with: pass --recipe or --model.")
    overrides = {
        "height": height,
        "width": width,
        "num_frames": frames,
        "steps": steps,
        "guidance_scale": guidance,
    }
    loaded = load_recipe(recipe) if recipe else None
    made = run_generate(prompt, seed, output, model, loaded, overrides, any_hardware)
    if json_output:
        _print_json({"path": str(made.path), "seconds": made.seconds, "evidence": made.evidence})
        return
    _out().print(f"{made.path}: {made.seconds:.2f} s")
    for name, counts in made.evidence.items():
        _out().print(f"  {name}: " + ", ".join(f"{k} {v}" for k, v in counts.items()))


@app.command("inspect")
@reporting
def inspect_command(
    model: ModelName, device: Device = None, dtype: DtypeName = None, json_output: Json = False
) -> None:
    """Say which techniques apply to a model here, and why others do not."""
    from sol.commands.inspect import inspect_model

    found = inspect_model(model, device, dtype)
    if json_output:
        _print_json(found)
        return
    _out().print(f"{found['model']}: family {found['family']}, guidance {found['guidance']}")
    rows = [
        (r["name"], r["skill"], "yes" if r["applies"] else "no", r["reason"])
        for r in found["techniques"]
    ]
    _print_table(("technique", "skill", "applies", "reason"), rows)


@app.command()
@reporting
def probe(device: Device = None, json_output: Json = False) -> None:
    """Show the machine as a recipe would record it."""
    from dataclasses import asdict

    from sol.measure.hardware import probe as probe_hardware
    from sol.measure.hardware import versions

    data = {"hardware": asdict(probe_hardware(device)), "versions": versions()}
    if json_output:
        _print_json(data)
        return
    for section in data.values():
        for key, value in section.items():
            _out().print(f"{key}: {value}", highlight=False)


@app.command()
@reporting
def models(json_output: Json = False) -> None:
    """List the models with short names."""
    from sol.models.catalog import CATALOG

    if json_output:
        _print_json([{"name": e.name, "summary": e.summary} for e in CATALOG.values()])
        return
    _print_table(("model", "what"), [(e.name, e.summary) for e in CATALOG.values()])


@app.command()
@reporting
def skills(json_output: Json = False) -> None:
    """List the skills and their techniques."""
    from sol.skills.registry import TECHNIQUES

    rows = [(t.skill, t.name, t.exactness, t.summary) for t in TECHNIQUES.values()]
    titles = ("skill", "technique", "exactness", "what")
    if json_output:
        _print_json([dict(zip(titles, row, strict=True)) for row in rows])
        return
    _print_table(titles, rows)


def main() -> None:
    """Entry point of the `sol` command."""
    # A scheduler ends a job with SIGTERM: the same orderly end as Ctrl-C.
    signal.signal(signal.SIGTERM, _interrupt)
    app()


def _interrupt(signum: int, frame: Any) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def _executor(
    name: str, workers: int | None, device: str | None, ray_address: str | None
) -> Iterator[Executor]:
    runner = _make_executor(name, workers, device, ray_address)
    try:
        yield runner
    finally:
        runner.close()


def _make_executor(
    name: str, workers: int | None, device: str | None, ray_address: str | None
) -> Executor:
    from importlib.util import find_spec

    _check_executor(name, workers)
    if name == "inline" or (name == "auto" and find_spec("ray") is None):
        from sol.search.executors.inline import InlineExecutor

        return InlineExecutor()
    from sol.search.executors.ray import RayExecutor

    n_gpus = _count_gpus() if device != "cpu" else 0
    count = workers or n_gpus or min(os.cpu_count() or 1, _MAX_CPU_WORKERS)
    return RayExecutor(count, gpus=1 if n_gpus else 0, address=ray_address)


def _check_executor(name: str, workers: int | None) -> None:
    if name not in EXECUTORS:
        raise UnknownNameError("executor", name, EXECUTORS)
    if workers is not None and workers < 1:
        raise SolError(f"--workers must be at least 1, got {workers}.")


def _count_gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _parse_skills(text: str | None) -> tuple[str, ...]:
    from sol.skills.registry import SKILLS

    if text is None:
        return SKILLS
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in SKILLS:
            raise UnknownNameError("skill", name, SKILLS)
    return names


def _print_tune(result: TuneResult, as_json: bool) -> None:
    accepted = next((stack for stack in result.judged if stack.is_accepted), None)
    speed = accepted.numbers.speed if accepted and accepted.numbers else None
    if as_json:
        _print_json(
            {
                "recipe": str(result.recipe) if result.recipe else None,
                "report": str(result.report),
                "run": str(result.folder),
                "speedup": speed
                and {"median": speed.median, "low": speed.low, "high": speed.high, "n": speed.n},
                "seconds": result.seconds,
            }
        )
        return
    out = _out()
    if accepted is None or speed is None:
        reasons = [stack.reason for stack in result.judged] or ["no stack was faster"]
        out.print(f"Nothing was accepted: {reasons[-1]}", markup=False)
    else:
        out.print(
            f"Accepted: {speed.median:.2f}x [{speed.low:.2f}, {speed.high:.2f}] end to end, "
            f"n={speed.n} pairs, by the {accepted.gate.verdict.label} gate"
        )
        out.print(f"  {accepted.measured.candidate.label}", markup=False)
        out.print(f"Recipe: {result.recipe}")
    out.print(f"Report: {result.report}")
    out.print(f"Took {result.seconds:.0f} s.")


def _print_checks(checks: Any) -> None:
    rows = [
        (c.name, "pass" if c.passed else "FAIL", _number(c.value), _number(c.bound),
         _number(c.margin), str(c.n), c.detail)
        for c in checks
    ]  # fmt: skip
    _print_table(("check", "", "value", "bound", "margin", "n", "detail"), rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _print_table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in titles:
        table.add_column(title)
    for row in rows:
        table.add_row(*row)
    _out().print(table, markup=False)


def _out() -> Console:
    return Console(soft_wrap=True)


def _print_json(data: Any) -> None:
    typer.echo(json.dumps(data, indent=2, default=str))


def _fail(message: str, code: int, as_json: bool) -> NoReturn:
    if as_json:
        _print_json({"error": message})
    Console(stderr=True, soft_wrap=True).print(message, markup=False, highlight=False)
    raise typer.Exit(code)
