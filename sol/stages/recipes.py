"""The recipes that a run may learn from: those that come with Sol, and those of earlier runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from sol.search.journal import Journal
from sol.search.warm_start import Precedents, find_precedents
from sol.search.whole_file import write_whole
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
    precedents = find_precedents(target, list_recipes(folder))
    write_whole(kept, json.dumps(asdict(precedents)))
    _write_lines(precedents, journal)
    return precedents


def _write_lines(precedents: Precedents, journal: Journal) -> None:
    for recipe, reason in precedents.skipped.items():
        journal.write(_START, "skip_recipe", recipe=recipe, reason=reason)
    if precedents.found:
        journal.write(
            _START,
            "warm_start",
            recipes=list(dict.fromkeys(item.origin for item in precedents.found)),
            techniques=list(dict.fromkeys(item.technique for item in precedents.found)),
        )


def list_recipes(folder: Path, packaged: Path = _PACKAGED) -> Mapping[str, Path]:
    """Files by name; the newest runs first, after them the packaged ones."""
    runs = sorted(folder.parent.glob("*/recipe.yaml"), reverse=True)
    earlier = {
        f"{folder.parent.name}/{path.parent.name}/{path.name}": path
        for path in runs
        if path.parent != folder
    }
    shipped = {
        f"recipes/{path.relative_to(packaged).as_posix()}": path
        for path in sorted(packaged.glob("*/*.yaml"))
    }
    return {**earlier, **shipped}
