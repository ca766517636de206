"""What a run may learn from: recipes of earlier runs, and what comes with Sol."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from sol.search.journal import Journal
from sol.search.starting_points import find_published
from sol.search.warm_start import Precedents, find_precedents
from sol.search.whole_file import write_whole
from sol.starting_point import SCHEMA
from sol.target import Target

_PACKAGED = Path(__file__).parents[1] / "recipes"
_START = "start"
_KEPT = "warm_start.json"
_ADAPTER = TypeAdapter(Precedents)


def recall_precedents(target: Target, folder: Path, journal: Journal) -> Precedents:
    """What recipes tell of the target's neighbours: found once a run, then as it was found.

    A run that is resumed must begin with the same settings, whatever was tuned meanwhile.

    Args:
        folder: The run's own; its siblings are earlier runs.
    """
    kept = folder / _KEPT
    if kept.exists():
        return _ADAPTER.validate_json(kept.read_bytes())
    accepted = find_precedents(target, list_recipes(folder))
    published = find_published(target, list_starting_points())
    precedents = Precedents(
        (*accepted.found, *published.found), {**accepted.skipped, **published.skipped}
    )
    write_whole(kept, json.dumps(asdict(precedents)))
    _write_lines(precedents, journal)
    return precedents


def _write_lines(precedents: Precedents, journal: Journal) -> None:
    for recipe, reason in precedents.skipped.items():
        journal.write(_START, "skip_recipe", recipe=recipe, reason=reason)
    accepted = [item for item in precedents.found if not item.is_published]
    if accepted:
        journal.write(
            _START,
            "warm_start",
            recipes=_distinct(item.origin for item in accepted),
            techniques=_distinct(item.technique for item in accepted),
        )
    published = [item for item in precedents.found if item.is_published]
    if published:
        journal.write(
            _START,
            "starting_points",
            sources=_distinct(str(item.source) for item in published),
            techniques=_distinct(item.technique for item in published),
        )


def _distinct(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))


def list_starting_points(packaged: Path = _PACKAGED) -> Mapping[str, Path]:
    """The starting points that come with Sol, by name."""
    return {name: path for name, path in _shipped(packaged).items() if _is_starting_point(path)}


def list_recipes(folder: Path, packaged: Path = _PACKAGED) -> Mapping[str, Path]:
    """Recipes by name; the newest runs first, after them the packaged ones."""
    runs = sorted(folder.parent.glob("*/recipe.yaml"), reverse=True)
    earlier = {
        f"{folder.parent.name}/{path.parent.name}/{path.name}": path
        for path in runs
        if path.parent != folder
    }
    shipped = _shipped(packaged)
    recipes = {name: path for name, path in shipped.items() if not _is_starting_point(path)}
    return {**earlier, **recipes}


def _shipped(packaged: Path) -> dict[str, Path]:
    return {
        f"recipes/{path.relative_to(packaged).as_posix()}": path
        for path in sorted(packaged.glob("*/*.yaml"))
    }


def _is_starting_point(path: Path) -> bool:
    """Whether a file says so of itself; whether it is one is found out by reading it."""
    return f"schema: {SCHEMA}" in path.read_text(encoding="utf-8").splitlines()
