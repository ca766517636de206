"""Recipes for other tools: `sol export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sol.cli.app import app, reporting
from sol.cli.options import Json, RecipePath
from sol.terminal import print_error, print_json, print_line


@app.command()
@reporting
def export(
    recipe: RecipePath,
    to: Annotated[str, typer.Option(help="cache-dit (YAML) or diffusers (Python).")],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="A file; by default stdout.")
    ] = None,
    json_output: Json = False,
) -> None:
    """Write what another tool can do of a recipe, and list what it cannot."""
    from sol.commands.export import export as run_export
    from sol.recipe import load_recipe

    exported = run_export(load_recipe(recipe), to, output)
    if json_output:
        print_json(
            {
                "format": to,
                "path": str(output) if output else None,
                "text": exported.text,
                "expressed": list(exported.expressed),
                "omitted": {left.technique: left.reason for left in exported.omissions},
            }
        )
        return
    if output is None:
        print_line(exported.text)
    else:
        print_line(f"{output}: {', '.join(exported.expressed)}")
    for left in exported.omissions:
        print_error(f"Not in it: {left.technique}: {left.reason}")
