"""`sol verify`: does a recipe's evidence come out again on this machine?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sol.cli.app import EXIT_REJECTED, app, reporting
from sol.cli.options import Allow, GateName, Json, OtherModel, RecipePath
from sol.terminal import print_json, print_line, print_table

if TYPE_CHECKING:
    from sol.commands.reproduction import Comparison, Value

_SAID = {True: "yes", False: "NO", None: "-"}
_BYTES_FROM = 1e5
"""From here on a number is one of bytes, and shown in full."""


@app.command()
@reporting
def verify(
    recipe: RecipePath,
    pairs: Annotated[int, typer.Option(help="Interleaved pairs of the timing.")] = 9,
    prompts: Annotated[int, typer.Option(help="Held-out prompts, three or more.")] = 6,
    model: OtherModel = None,
    gate: GateName = None,
    allow: Allow = None,
    json_output: Json = False,
) -> None:
    """Replay a recipe's evidence on this machine; exit 1 if it does not come out again."""
    from sol.commands.verify import verify as run_verify
    from sol.recipe import load_recipe

    result = run_verify(load_recipe(recipe), pairs, prompts, model, gate, allow or ())
    if json_output:
        print_json(result.to_json())
    else:
        titles = ("what", "recipe", "here", "reproduced", "")
        print_table(titles, [_row(comparison) for comparison in result.comparisons])
        print_line("Reproduced." if result.is_reproduced else "Not reproduced.")
    if not result.is_reproduced:
        raise typer.Exit(EXIT_REJECTED)


def _row(row: Comparison) -> tuple[str, ...]:
    return row.what, _show(row.recipe), _show(row.here), _SAID[row.reproduced], row.detail


def _show(value: Value) -> str:
    if value is None or isinstance(value, str):
        return value or "-"
    return f"{value:.0f}" if abs(value) >= _BYTES_FROM else f"{value:.5g}"
