"""What the worker answered: every score of every video, or an error that says what is wrong."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sol.target import STRICT
from sol.validation import explain, validate_plain
from sol.validator.vbench.dimensions import DIMENSIONS, MOST
from sol.validator.vbench.error import VBenchError

_ROUNDING = 1e-6
"""A cosine of two equal vectors in float32 may come out above 1."""


@dataclass(frozen=True)
class Failure:
    """Why the worker has no scores.

    Attributes:
        dimension: The one that failed, if one did.
    """

    __pydantic_config__ = STRICT

    dimension: str | None
    message: str


@dataclass(frozen=True)
class Answer:
    """The file that the worker wrote.

    Attributes:
        scores: Dimension to video id to score.
        seconds: Of each dimension, the loading of its model included.
        versions: Of each package.
        weights: SHA-256 of each file of weights.
    """

    __pydantic_config__ = STRICT

    error: Failure | None
    scores: Mapping[str, Mapping[str, float]]
    seconds: Mapping[str, float]
    versions: Mapping[str, str] | None = None
    weights: Mapping[str, str] | None = None


def read_answer(path: Path) -> Answer:
    """The answer, checked for its form.

    Raises:
        VBenchError: There is none, or it is not what a worker writes.
    """
    try:
        # NaN passes here; the scores are looked at one by one.
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        return validate_plain(_ADAPTER, data)
    except FileNotFoundError:
        raise VBenchError(f"VBench's worker wrote no answer. {_REMEDY}") from None
    except ValidationError as error:
        raise VBenchError(f"VBench's worker must answer in its form: {explain(error)}") from error
    except (OSError, ValueError) as error:
        raise VBenchError(
            f"VBench's worker must answer in JSON, and did not: {error}. {_REMEDY}"
        ) from error


def check_scores(
    scores: Mapping[str, Mapping[str, float]],
    dimensions: Collection[str],
    ids: Collection[str],
) -> None:
    """Accepts scores of just these dimensions, each of just these videos, each possible.

    Raises:
        VBenchError: Anything else.
    """
    _check_same("dimensions", set(dimensions), set(scores))
    for dimension in dimensions:
        _check_same(f"videos in {dimension}", set(ids), set(scores[dimension]))
        for video, value in scores[dimension].items():
            _check_possible(dimension, video, value)


def _check_same(what: str, asked: set[str], answered: set[str]) -> None:
    if asked == answered:
        return
    differences = [
        f"{label} {', '.join(sorted(names))}"
        for label, names in (("missing:", asked - answered), ("not asked for:", answered - asked))
        if names
    ]
    raise VBenchError(
        f"VBench must score just the {what} that it was asked for; {'; '.join(differences)}. Look "
        "whether these videos can be played."
    )


def _check_possible(dimension: str, video: str, value: float) -> None:
    least = DIMENSIONS[dimension].least
    if not math.isfinite(value):
        raise VBenchError(
            f"VBench's {dimension} must be a number, got {value} for {video}: look whether that "
            "video can be played, and whether the weights are whole (`sol vbench status`)."
        )
    if not least - _ROUNDING <= value <= MOST + _ROUNDING:
        raise VBenchError(
            f"VBench's {dimension} must be from {least:g} to {MOST:g}, got {value:g} for {video}: "
            "the weights may be those of another model (`sol vbench status`)."
        )


_ADAPTER = TypeAdapter(Answer)
_REMEDY = "Run `sol vbench setup` again."
