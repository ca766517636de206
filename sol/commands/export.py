"""`sol export`: a recipe in the format of another tool."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from sol.errors import OutputError, UnknownNameError
from sol.export import cache_dit, diffusers
from sol.export.outcome import Export
from sol.recipe import Recipe

FORMATS: Mapping[str, Callable[[Recipe], Export]] = {
    cache_dit.FORMAT: cache_dit.export_cache_dit,
    diffusers.FORMAT: diffusers.export_diffusers,
}


def export(recipe: Recipe, to: str, output: Path | None = None) -> Export:
    """The recipe in another format, written to `output` if that is given.

    Raises:
        UnknownNameError: There is no such format.
        OutputError: The file cannot be written.
        SolError: Nothing of the recipe can be said in the format.
    """
    if to not in FORMATS:
        raise UnknownNameError("format", to, FORMATS)
    exported = FORMATS[to](recipe)
    if output is not None:
        _write(exported.text, output)
    return exported


def _write(text: str, path: Path) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror}. Choose another --output."
        ) from error
