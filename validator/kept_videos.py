"""The videos of both arms that a run keeps, and the list of them: what a person can look at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import TypeAdapter, ValidationError

from sol.errors import SolError
from sol.target import STRICT
from sol.validation import explain, validate_plain

SCHEMA: Final = "sol.videos/1"
FOLDER = "videos"
_INDEX = "index.json"


@dataclass(frozen=True)
class KeptPair:
    """One prompt and seed, made by both arms.

    Attributes:
        baseline: Path of the baseline's file, relative to the folder of the videos.
        accelerated: The same of the accelerated video.
        metrics: Paired metrics by name.
    """

    __pydantic_config__ = STRICT

    id: str
    prompt: str
    seed: int
    stratum: str
    baseline: str
    accelerated: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class KeptVideos:
    """All kept pairs of one stack; every video has the same frames, size and frame rate."""

    __pydantic_config__ = STRICT

    fps: float
    height: int
    width: int
    num_frames: int
    stack: str
    pairs: tuple[KeptPair, ...]
    schema: Literal["sol.videos/1"] = SCHEMA


def write_kept(run: Path, kept: KeptVideos) -> None:
    """Writes the list into a run's folder; complete or not at all."""
    folder = run / FOLDER
    folder.mkdir(exist_ok=True)
    partial = folder / f"{_INDEX}.partial"
    partial.write_text(json.dumps(asdict(kept), indent=1, ensure_ascii=False), encoding="utf-8")
    partial.replace(folder / _INDEX)


def load_kept(run: Path) -> KeptVideos:
    """The list of a run's kept videos.

    Raises:
        SolError: There is none, or it cannot be read; each with the remedy.
    """
    path = run / FOLDER / _INDEX
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        return validate_plain(_ADAPTER, data)
    except FileNotFoundError:
        raise SolError(
            f"{run} keeps no videos: {path} is missing. A run keeps them once a stack was at the "
            "gate; pass the folder that `sol tune` printed."
        ) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SolError(f"{path} cannot be read: {error}. Tune again.") from error
    except ValidationError as error:
        raise SolError(f"{path} is not a list of kept videos: {explain(error)}") from error


_ADAPTER = TypeAdapter(KeptVideos)
