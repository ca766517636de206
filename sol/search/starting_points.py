"""Published settings as first trials: read from the files of starting points.

A starting point is no evidence: it is tried and measured like anything else, and is reported with
its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields
from pathlib import Path
from typing import Any

from sol.errors import SolError
from sol.models.catalog import find_entry
from sol.search.warm_start import Precedent, Precedents
from sol.skills.registry import get_technique
from sol.starting_point import StartingPoint, Suggestion, load_starting_point
from sol.target import Target
from sol.technique import Technique, parse_config


def find_published(target: Target, files: Mapping[str, Path]) -> Precedents:
    """What was published for the target's model and its family; the model's own come first.

    Args:
        files: Starting points by the name that people know them by.
    """
    near: list[tuple[bool, tuple[Precedent, ...]]] = []
    skipped: dict[str, str] = {}
    for origin, path in files.items():
        try:
            point = load_starting_point(path)
            if not _is_for(point, target):
                continue
            _check_steps(point, target)
            found = tuple(_read(suggestion, origin, point.source) for suggestion in point.stack)
        except SolError as error:
            skipped[origin] = str(error)
            continue
        near.append((point.model is None, found))
    near.sort(key=lambda item: item[0])
    return Precedents(tuple(each for _, found in near for each in found), skipped)


def _is_for(point: StartingPoint, target: Target) -> bool:
    if point.family != target.model.family:
        return False
    return point.model is None or _same_model(point.model, target.model.id)


def _same_model(name: str, other: str) -> bool:
    entry = find_entry(name)
    return name == other or (entry is not None and entry is find_entry(other))


def _check_steps(point: StartingPoint, target: Target) -> None:
    """A list of steps means nothing in a run of another length."""
    if point.workload is not None and point.workload.steps != target.workload.steps:
        raise SolError(
            f"It was published for {point.workload.steps} steps, and this run has "
            f"{target.workload.steps}: pass --steps {point.workload.steps} to try it."
        )


def _read(suggestion: Suggestion, origin: str, source: str) -> Precedent:
    """The suggestion with the technique's defaults.

    Raises:
        SolError: No such technique, a config that it does not allow, or a schedule: a search
            leaves every technique active in all steps and layers.
    """
    if suggestion.schedule.restricted_axes:
        raise SolError(
            f"{suggestion.technique} has a schedule, and a search has none: say it in the config "
            "instead."
        )
    technique = get_technique(suggestion.technique)
    config = asdict(parse_config(technique, suggestion.config))
    defaults = _defaults_of(technique)
    return Precedent(
        technique=technique.name,
        config=config,
        origin=origin,
        source=source,
        stated=tuple(
            key for key in suggestion.config if key not in defaults or config[key] != defaults[key]
        ),
    )


def _defaults_of(technique: Technique) -> dict[str, Any]:
    return {
        each.name: each.default for each in fields(technique.config) if each.default is not MISSING
    }
