"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

_TYPED = ("COMMANDLINE", "ENVIRONMENT")

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
ModelName = Annotated[str, typer.Option("--model", "-m", help="Short name, folder, or Hub id.")]
TunedModel = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Short name, folder, or Hub id; not with --resume."),
]
OtherModel = Annotated[
    str | None, typer.Option("--model", "-m", help="Where the recipe's model is, if elsewhere.")
]
RecipePath = Annotated[Path, typer.Argument(help="A recipe file.")]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        help="What may differ from the recipe: weights, revision, hardware, versions or workload; "
        "repeatable."
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; by default CUDA if there is one.")]
DtypeName = Annotated[str | None, typer.Option("--dtype", help="float32, bfloat16 or float16.")]
ExecutorName = Annotated[str, typer.Option("--executor", help="auto, ray or inline.")]
Workers = Annotated[int | None, typer.Option(help="Measuring workers; by default one per device.")]
RayAddress = Annotated[str | None, typer.Option(help="Join this Ray cluster.")]
WorkerMemory = Annotated[
    float | None,
    typer.Option(help="GB of a host's memory that a worker takes; with Ray, where it is placed."),
]
Minutes = Annotated[
    float | None,
    typer.Option(help="Of search, interruptions left out; by default the budget's."),
]
Storage = Annotated[
    str | None,
    typer.Option(
        help="URL of a database for the trials, as Optuna takes it; by default a file in the run."
    ),
]
Resume = Annotated[
    Path | None,
    typer.Option(help="Go on with the run in this folder: what was measured is not repeated."),
]
GateName = Annotated[
    str | None,
    typer.Option("--gate", help="A gate profile, by name or file; by default the model's."),
]
BackendName = Annotated[
    str,
    typer.Option(
        "--backend",
        help="auto, embedded or vbench; auto takes VBench where `sol vbench setup` was run.",
    ),
]
DEFAULT_VBENCH_ENV = Path("~/.cache/sol/vbench")
VBenchFolder = Annotated[
    Path,
    typer.Option("--vbench-env", envvar="SOL_VBENCH_ENV", help="Where VBench was set up."),
]
Height = Annotated[int | None, typer.Option(help="Pixels; by default the model's.")]
Width = Annotated[int | None, typer.Option(help="Pixels; by default the model's.")]
Frames = Annotated[int | None, typer.Option(help="Frames; by default the model's.")]
Steps = Annotated[int | None, typer.Option(help="Denoising steps; by default the model's.")]
Guidance = Annotated[float | None, typer.Option(help="Guidance scale; by default the model's.")]


def typed_options(context: typer.Context) -> frozenset[str]:
    """Names of the options that were typed, or set in the environment."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(name for name, s in sources.items() if s is not None and s.name in _TYPED)


def workload_overrides(
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
