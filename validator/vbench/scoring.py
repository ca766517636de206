"""Scoring videos with VBench: one process for the videos of both arms, each model loaded once."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sol.validator.vbench.answer import Answer, check_scores, read_answer
from sol.validator.vbench.dimensions import check_dimensions
from sol.validator.vbench.environment import VBenchEnv
from sol.validator.vbench.error import VBenchError
from sol.validator.vbench.lock import missing_weights, read_lock
from sol.validator.vbench.process import last_words, run_to_end
from sol.validator.vbench.weights import WEIGHTS, WeightFile, weights_of

WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class VideoFile:
    """One video to score.

    Attributes:
        id: The name of its scores; its own among all that are scored together.
        path: An .mp4.
        prompt: What it was made from; overall_consistency compares the two.
    """

    id: str
    path: Path
    prompt: str


@dataclass(frozen=True)
class VBenchScores:
    """What VBench said, and what said it.

    Attributes:
        by_video: Video id to dimension to raw score, in [0, 1] but for overall_consistency,
            which is a cosine. VBench's percent and booleans are numbers here.
        versions: Of Python and each package.
        weights: SHA-256 of every file of weights that was used, by name.
        seconds: Of each dimension, the loading of its model included.
    """

    by_video: Mapping[str, Mapping[str, float]]
    versions: Mapping[str, str]
    weights: Mapping[str, str]
    seconds: Mapping[str, float]


def score_videos(
    env: VBenchEnv,
    videos: Sequence[VideoFile],
    dimensions: Collection[str],
    timeout_s: float,
    device: str = "cpu",
    weights: Sequence[WeightFile] = WEIGHTS,
    worker: Path = WORKER,
) -> VBenchScores:
    """Scores every video in every dimension, or raises.

    Args:
        videos: Of both arms together.
        dimensions: From `DIMENSIONS`.
        timeout_s: For all of them; then the worker and all it started are ended.
        device: As PyTorch writes it.

    Raises:
        VBenchError: No complete, believable scores, with the reason.
        UnknownNameError: An unknown dimension.
    """
    dimensions = check_dimensions(dimensions)
    _check_videos(videos)
    _check_weights(env, dimensions, weights)
    found = _ask(env, _request(env, videos, dimensions, device, weights), worker, timeout_s)
    check_scores(found.scores, dimensions, [video.id for video in videos])
    used = weights_of(dimensions, weights)
    _check_digests(env, found, used)
    return VBenchScores(
        by_video={v.id: {d: found.scores[d][v.id] for d in dimensions} for v in videos},
        versions=found.versions or {},
        weights=found.weights or {},
        seconds=found.seconds,
    )


def _check_videos(videos: Sequence[VideoFile]) -> None:
    ids = [video.id for video in videos]
    if not ids or len(set(ids)) != len(ids):
        raise VBenchError(
            f"VBench scores one video or more, each under an id of its own, got {ids}."
        )
    for video in videos:
        if not video.path.is_file() or video.path.suffix != ".mp4":
            raise VBenchError(
                f"VBench reads .mp4 files, and {video.path} is none: make the video again."
            )


def _check_weights(
    env: VBenchEnv, dimensions: Collection[str], weights: Sequence[WeightFile]
) -> None:
    missing = missing_weights(env, dimensions, weights)
    if missing:
        raise VBenchError(
            f"{', '.join(dimensions)} need {', '.join(file.name for file in missing)} in "
            f"{env.root}: run `sol vbench prefetch`."
        )


def _request(
    env: VBenchEnv,
    videos: Sequence[VideoFile],
    dimensions: Collection[str],
    device: str,
    weights: Sequence[WeightFile],
) -> dict[str, Any]:
    return {
        "videos": [{**asdict(video), "path": str(video.path.resolve())} for video in videos],
        "dimensions": list(dimensions),
        "device": device,
        "cache_dir": str(env.cache_dir.resolve()),
        "torch_home": str(env.torch_home.resolve()),
        # The last place is the one that is loaded.
        "weights": {
            file.name: str((env.root / file.places[-1]).resolve())
            for file in weights_of(dimensions, weights)
        },
    }


def _ask(env: VBenchEnv, asked: dict[str, Any], worker: Path, timeout_s: float) -> Answer:
    with tempfile.TemporaryDirectory(prefix="sol-vbench-") as folder:
        request, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
        request.write_text(json.dumps(asked), encoding="utf-8")
        log = Path(folder) / "worker.log"
        # -I: neither PYTHONPATH nor this folder may lend the worker Sol's own packages.
        command = [str(env.python), "-I", str(worker), str(request), str(answer)]
        code = run_to_end(command, log, timeout_s)
        return _read(answer, code, log)


def _read(path: Path, code: int, log: Path) -> Answer:
    """The answer of a worker that ended with `code`; its reason, if it is not 0."""
    if code == 0:
        return read_answer(path)
    said = read_answer(path).error if path.exists() else None
    what = (
        f"{said.dimension} failed" if said and said.dimension else f"ended with exit code {code}"
    )
    reason = f": {said.message}." if said else f".{last_words(log)}"
    raise VBenchError(f"VBench's worker {what}{reason} {_REMEDIES.get(code, _BROKEN)}")


def _check_digests(env: VBenchEnv, found: Answer, used: Sequence[WeightFile]) -> None:
    lock, seen = read_lock(env.root), found.weights or {}
    for file in used:
        expected = file.sha256 or lock[file.name].sha256
        if seen.get(file.name) != expected:
            raise VBenchError(
                f"{file.name} must have SHA-256 {expected}, the worker used one with "
                f"{seen.get(file.name)}: remove it from {env.root} and run `sol vbench prefetch`."
            )


_BROKEN = "Run `sol vbench setup` again."
_REMEDIES = {
    1: "Look whether every video has four frames or more and can be played.",
    2: "Make the videos again.",
    3: _BROKEN,
}
