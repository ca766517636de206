"""Using recipes: `sol bench` and `sol generate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sol.cli.app import app, reporting
from sol.cli.loading_options import OffloadName
from sol.cli.options import (
    Allow,
    Frames,
    Guidance,
    Height,
    Json,
    OtherModel,
    RecipePath,
    Steps,
    Width,
    workload_overrides,
)
from sol.errors import SolError
from sol.terminal import print_json, print_line


@app.command()
@reporting
def bench(
    recipe: RecipePath,
    pairs: Annotated[int, typer.Option(help="Interleaved pairs.")] = 15,
    model: OtherModel = None,
    allow: Allow = None,
    json_output: Json = False,
) -> None:
    """Measure a recipe's speed-up in this process, end to end."""
    from sol.commands.bench import bench as run_bench
    from sol.commands.bench import describe_cold_start
    from sol.recipe import load_recipe

    result = run_bench(load_recipe(recipe), pairs, model, allow or ())
    if json_output:
        print_json(result.to_json())
        return
    speedup, base, fast = result.speedup, result.baseline, result.accelerated
    print_line(
        f"{speedup.median:.2f}x [{speedup.low:.2f}, {speedup.high:.2f}], n={speedup.n} pairs, "
        f"{base.median:.3f} s -> {fast.median:.3f} s a video, {speedup.device}"
    )
    print_line(describe_cold_start(result.cold_start))
    for check, difference in result.overrides.items():
        print_line(f"Allowed ({check}): {difference}")


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
    allow: Allow = None,
    require: Annotated[str, typer.Option(help="Whose word it needs: gate or approved.")] = "gate",
    guard: Annotated[
        bool, typer.Option("--guard", help="Without the recipe, where it does not work out.")
    ] = False,
    offload: OffloadName = None,
    json_output: Json = False,
) -> None:
    """Make one video, with a recipe or without."""
    from sol.commands.generate import RecipeUse
    from sol.commands.generate import generate as run_generate
    from sol.recipe import load_recipe

    if recipe is None and model is None:
        raise SolError("Nothing to generate with: pass --recipe or --model.")
    use = RecipeUse(load_recipe(recipe), allow or (), require, guard) if recipe else None
    overrides = workload_overrides(height, width, frames, steps, guidance)
    made = run_generate(prompt, seed, output, model, use, overrides, offload)
    if json_output:
        print_json(made.to_json())
        return
    print_line(f"{made.path}: {made.seconds:.2f} s")
    for name, counts in made.record.get("evidence", {}).items():
        print_line(f"  {name}: " + ", ".join(f"{key} {count}" for key, count in counts.items()))
    for check, difference in made.record.get("overrides", {}).items():
        print_line(f"  allowed ({check}): {difference}")
    for reason, n_videos in made.record.get("fallbacks", {}).items():
        print_line(f"  made without the recipe ({reason}): {n_videos}")
