"""Where a review lives: RUN/review/<reviewer>/, with its plan and its answers."""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sol.lossless_video import VideoShape, read_lossless
from sol.validation import explain, validate_plain
from sol.validator.kept_videos import FOLDER, KeptVideos
from sol.validator.review.plan import ReviewError, ReviewPlan, Trial

REVIEWS = "review"
RECIPE = "recipe.yaml"
REPORT = "report.json"
ANSWERS = "answers.jsonl"
_PLAN = "plan.json"
_LONGEST_NAME = 100
_LONGEST_FOLDER = 40
_HASH_DIGITS = 8
_START_ANEW = "Start a new review with --again; the old one is kept beside it."
_ADAPTER = TypeAdapter(ReviewPlan)


def clean_reviewer(name: str) -> str:
    """The name without spaces around it.

    Raises:
        ReviewError: Empty, too long, or with characters that do not print.
    """
    clean = name.strip()
    if not clean or len(clean) > _LONGEST_NAME or not clean.isprintable():
        raise ReviewError(
            f"A reviewer's name has 1 to {_LONGEST_NAME} printable characters, got {name!r}."
        )
    return clean


def folder_name(reviewer: str) -> str:
    """A name for the file system; a hash keeps names apart that would look the same in it."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", reviewer).strip("-")[:_LONGEST_FOLDER]
    if plain == reviewer:
        return plain
    digest = hashlib.sha256(reviewer.encode()).hexdigest()[:_HASH_DIGITS]
    return f"{plain}-{digest}".lstrip("-")


def move_aside(folder: Path) -> None:
    """Keeps an earlier review under the next free number."""
    if folder.exists():
        taken = {path.name for path in folder.parent.iterdir()}
        number = next(n for n in range(1, len(taken) + 2) if f"{folder.name}.{n}" not in taken)
        folder.rename(folder.with_name(f"{folder.name}.{number}"))


def write_plan(folder: Path, plan: ReviewPlan) -> None:
    """Complete or not at all; on disk when it returns."""
    partial = folder / f"{_PLAN}.partial"
    with partial.open("w", encoding="utf-8") as file:
        json.dump(asdict(plan), file, indent=1, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(folder / _PLAN)


def find_plan(folder: Path) -> ReviewPlan | None:
    """The plan of a review that was begun.

    Raises:
        ReviewError: It cannot be read.
    """
    path = folder / _PLAN
    if not path.exists():
        return None
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        return validate_plain(_ADAPTER, data)
    except ValidationError as error:
        raise ReviewError(f"{path} is not a review: {explain(error)} {_START_ANEW}") from error
    except (OSError, ValueError) as error:
        raise ReviewError(f"{path} cannot be read: {error}. {_START_ANEW}") from error


def check_plan(plan: ReviewPlan, reviewer: str, videos: str, n_pairs: int | None) -> None:
    """Raises ReviewError where a stored plan is of other videos, or not the one asked for."""
    if plan.videos != videos:
        raise ReviewError(
            f"The videos are not those that {reviewer}'s review was begun with. {_START_ANEW}"
        )
    n_planned = sum(not trial.is_catch for trial in plan.trials)
    if n_pairs is not None and n_pairs != n_planned:
        raise ReviewError(
            f"The review was begun with {n_planned} pairs, --pairs says {n_pairs}: leave it out "
            f"to go on. {_START_ANEW}"
        )


def digest_videos(run: Path, kept: KeptVideos) -> str:
    """SHA-256 over the list of kept videos and every file in it.

    Raises:
        ReviewError: A file is missing or cannot be read.
    """
    digest = hashlib.sha256(json.dumps(asdict(kept), sort_keys=True).encode())
    for pair in kept.pairs:
        for name in (pair.baseline, pair.accelerated):
            path = run / FOLDER / name
            try:
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
            except OSError as error:
                raise ReviewError(
                    f"The kept video {path} cannot be read: {error.strerror}. Tune again."
                ) from error
    return f"sha256:{digest.hexdigest()}"


def check_videos(run: Path, kept: KeptVideos, trials: tuple[Trial, ...]) -> None:
    """Decodes every video once: a bad one is found now, and not by the reviewer, who is blind.

    Raises:
        VideoFileError: One is damaged, or has another shape than the list says.
    """
    shown = {trial.pair for trial in trials}
    for pair in kept.pairs:
        if pair.id in shown:
            read_lossless(run / FOLDER / pair.baseline, shape_of(kept))
            read_lossless(run / FOLDER / pair.accelerated, shape_of(kept))


def shape_of(kept: KeptVideos) -> VideoShape:
    """What every kept video must be."""
    return VideoShape(kept.num_frames, kept.height, kept.width, kept.fps)
