"""`sol vbench setup`, `sol vbench prefetch`, `sol vbench status`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from sol.cli.app import app, reporting
from sol.cli.options import DEFAULT_VBENCH_ENV, Json
from sol.terminal import print_json, print_line, print_progress, print_table

EnvFolder = Annotated[
    Path, typer.Option("--env", envvar="SOL_VBENCH_ENV", help="Where VBench's environment is.")
]

vbench = typer.Typer(no_args_is_help=True, help="VBench, in an environment of its own.")
app.add_typer(vbench, name="vbench")


@vbench.command()
@reporting
def setup(
    env: EnvFolder = DEFAULT_VBENCH_ENV,
    python: Annotated[
        Path, typer.Option(help="The interpreter to make it from, 3.11 to 3.13.")
    ] = Path(sys.executable),
    torch_index: Annotated[
        str | None,
        typer.Option(help="Package index for PyTorch, such as that of its CPU builds."),
    ] = None,
) -> None:
    """Install VBench's packages; again only if they are not complete."""
    from sol.validator.vbench.install import SetUp, set_up
    from sol.validator.vbench.weights import LICENCES

    beside_sol = str(Path(sys.executable).parent)
    uv = shutil.which("uv") or shutil.which("uv", path=beside_sol)
    how = SetUp(python, Path(uv) if uv else None, torch_index)
    done = set_up(env.expanduser(), how, print_progress)
    print_line(f"VBench is set up in {done.root}. Its weights: `sol vbench prefetch`.")
    for licence in LICENCES:
        print_line(licence)


@vbench.command()
@reporting
def prefetch(
    env: EnvFolder = DEFAULT_VBENCH_ENV,
    dimensions: Annotated[
        str | None, typer.Option(help="With commas between them; by default all eight.")
    ] = None,
    weights_from: Annotated[
        Path | None,
        typer.Option(help="A folder that has the files, for a machine without a network."),
    ] = None,
) -> None:
    """Bring the weights; each file is checked by its SHA-256."""
    from sol.commands.vbench import fetch_weights

    done = fetch_weights(env.expanduser(), dimensions, weights_from, print_progress)
    print_line(f"All weights that were asked for are in {done.root}.")


@vbench.command()
@reporting
def status(env: EnvFolder = DEFAULT_VBENCH_ENV, json_output: Json = False) -> None:
    """Show what is set up, which weights are there, and which dimensions can run."""
    from sol.commands.vbench import vbench_status
    from sol.validator.vbench.weights import LICENCES

    found = vbench_status(env.expanduser())
    if json_output:
        print_json(found.to_json())
        return
    state = f"not usable: {found.incomplete}" if found.incomplete else "complete"
    print_line(f"{found.root}: {state}")
    for name, version in found.versions.items():
        print_line(f"  {name} {version}")
    rows = [
        (name, "yes" if name in found.can_run else "no", ", ".join(gone) or "-")
        for name, gone in found.missing.items()
    ]
    print_table(("dimension", "can run", "missing weights"), rows)
    for licence in LICENCES:
        print_line(licence)
