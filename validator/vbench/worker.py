"""The process that runs VBench, in VBench's own environment.

`python -I worker.py REQUEST ANSWER`. It stands alone: Sol is not installed beside VBench. REQUEST
and ANSWER are JSON files, as VBench writes what it likes to stdout. Exit codes: 0 scored, 1 a
dimension failed, 2 a bad request, 3 the environment cannot run VBench; the answer says why,
unless it could not be written.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SCORED, DIMENSION_FAILED, BAD_REQUEST, ENVIRONMENT_BROKEN = range(4)

PACKAGES = (
    "vbench",
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "pyiqa",
    "opencv-python-headless",
    "decord2",
    "openai-clip",
)
_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_SEED = 0
_PERCENT = 100.0
_RGB = 3
_CHUNK = 1 << 20


class WorkerError(Exception):
    """Why there are no scores."""

    def __init__(self, code: int, message: str, dimension: str | None = None) -> None:
        super().__init__(message)
        self.code, self.dimension = code, dimension


def main(arguments: Sequence[str]) -> int:
    """Reads the request, scores, writes the answer; returns the exit code."""
    if len(arguments) != 2:  # noqa: PLR2004 - the request and the answer
        sys.stderr.write("usage: worker.py REQUEST ANSWER\n")
        return BAD_REQUEST
    answer: dict[str, Any] = {"error": None, "scores": {}, "seconds": {}}
    code = SCORED
    try:
        answer_request(read_request(Path(arguments[0])), answer)
    except WorkerError as error:
        code = error.code
        answer["error"] = {"dimension": error.dimension, "message": str(error)}
    write_whole(Path(arguments[1]), answer)
    return code


def read_request(path: Path) -> dict[str, Any]:
    """The request, with every key there and every video a file."""
    try:
        request = json.loads(path.read_text(encoding="utf-8"))
        for key in ("videos", "dimensions", "device", "cache_dir", "torch_home", "weights"):
            request[key]
        for video in request["videos"]:
            if not Path(video["path"]).is_file():
                raise WorkerError(BAD_REQUEST, f"{video['path']} of {video['id']} is no file")
            video["prompt"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WorkerError(BAD_REQUEST, f"{path.name}: {type(error).__name__}: {error}") from error
    return dict(request)


def answer_request(request: dict[str, Any], answer: dict[str, Any]) -> None:
    """Fills `answer`, one dimension after the other: each loads its model once for all videos."""
    prepare_process(request)
    vbench = import_vbench()
    answer["versions"] = installed_versions()
    answer["weights"] = {name: sha256(Path(path)) for name, path in request["weights"].items()}
    with tempfile.TemporaryDirectory(prefix="sol-vbench-") as folder:
        names = link_videos(request["videos"], Path(folder) / "videos")
        prompts = {name: video["prompt"] for name, video in names.items()}
        for dimension in request["dimensions"]:
            started = time.monotonic()
            scores = score(vbench, dimension, prompts, Path(folder), request["device"])
            answer["scores"][dimension] = {names[n]["id"]: value for n, value in scores.items()}
            answer["seconds"][dimension] = time.monotonic() - started


def prepare_process(request: dict[str, Any]) -> None:
    """Sets what VBench and its libraries read from the environment when they are imported."""
    os.environ["VBENCH_CACHE_DIR"] = request["cache_dir"]
    os.environ["TORCH_HOME"] = request["torch_home"]
    # AMT's checkpoint holds more than tensors; vbench 0.1.5 calls torch.load as before torch 2.6.
    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"
    # Every file is there already: a download now would be of something nobody checked.
    os.environ["HF_HUB_OFFLINE"] = "1"


def import_vbench() -> Any:
    """The package, with the three breakages of its surroundings mended first."""
    try:
        define_torchvision_operators()
        read_narrow_videos()
        return importlib.import_module("vbench")
    except Exception as error:
        raise WorkerError(ENVIRONMENT_BROKEN, f"{type(error).__name__}: {error}") from error


def define_torchvision_operators() -> None:
    """Declares two operators that torchvision, built for CUDA, does not load beside a CPU torch.

    Importing it then fails with "operator torchvision::nms does not exist", though VBench needs
    only its transforms, which are plain Python.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = importlib.import_module("torch.library").Library("torchvision", "DEF")
        for operator in _OPERATORS:
            library.define(operator)
        _KEPT.append(library)
        importlib.import_module("torchvision")


_KEPT: list[Any] = []
"""An operator library undoes its definitions when it is collected."""


def read_narrow_videos() -> None:
    """Lets decord read frames whose padded rows it takes for rows of four channels.

    decord divides the bytes of a row, padding included, by the width: 96 pixels of RGB fill 288
    bytes, padded to 384, and 384 / 96 is 4. Its batches then fail (decord 0.6.0: widths 16, 24,
    48, 72; decord2 3.4.0: 16, 24, 32, 48, 96, 144). The pixels are there and are cut out.
    """
    decord: Any = importlib.import_module("decord")
    numpy = importlib.import_module("numpy")
    reader = decord.VideoReader

    class NarrowVideoReader(reader):  # type: ignore[misc, valid-type]
        def get_batch(self, indices: Any) -> Any:
            _, width, channels = self[0].shape
            if channels == _RGB:
                return super().get_batch(indices)
            rows = [as_numpy(self[int(i)]).reshape(-1, width * channels) for i in indices]
            frames = numpy.stack([row[:, : _RGB * width].reshape(-1, width, _RGB) for row in rows])
            return decord.bridge.bridge_out(decord.nd.array(frames))

    decord.VideoReader = NarrowVideoReader


def as_numpy(frame: Any) -> Any:
    """decord's bridge decides whether a frame is one of its own arrays or a tensor."""
    return frame.asnumpy() if hasattr(frame, "asnumpy") else frame.numpy()


def installed_versions() -> dict[str, str]:
    """What the scores were made with."""
    try:
        versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    except importlib.metadata.PackageNotFoundError as error:
        raise WorkerError(ENVIRONMENT_BROKEN, f"{error.name} is not installed") from error
    return {"python": platform.python_version(), **versions}


def sha256(path: Path) -> str:
    """SHA-256 of a file of weights, in hexadecimal."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise WorkerError(ENVIRONMENT_BROKEN, f"weights {path}: {error}") from error
    return digest.hexdigest()


def link_videos(videos: Sequence[dict[str, Any]], folder: Path) -> dict[str, dict[str, Any]]:
    """Links each under a name of its own, as VBench scores a whole folder; name to video."""
    folder.mkdir()
    names = {f"{index:06d}.mp4": video for index, video in enumerate(videos)}
    for name, video in names.items():
        (folder / name).symlink_to(Path(video["path"]).resolve())
    return names


def score(
    vbench: Any, dimension: str, prompts: dict[str, str], folder: Path, device: str
) -> dict[str, float]:
    """One dimension by VBench's own code in custom mode; file name to score."""
    torch = importlib.import_module("torch")
    random.seed(_SEED)
    importlib.import_module("numpy").random.seed(_SEED)
    torch.manual_seed(_SEED)
    try:
        judge = vbench.VBench(torch.device(device), "", str(folder))
        judge.evaluate(
            videos_path=str(folder / "videos"),
            name=dimension,
            prompt_list=prompts,
            dimension_list=[dimension],
            local=True,
            mode="custom_input",
        )
        results = json.loads((folder / f"{dimension}_eval_results.json").read_text())
        found = {Path(r["video_path"]).name: r["video_results"] for r in results[dimension][1]}
        # In percent in VBench 0.1.5, for each video; only the mean of all is divided.
        unit = _PERCENT if dimension == "imaging_quality" else 1.0
        return {name: float(value) / unit for name, value in found.items()}
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
        raise WorkerError(DIMENSION_FAILED, message, dimension) from error


def write_whole(path: Path, answer: dict[str, Any]) -> None:
    """Writes the answer completely or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(answer), encoding="utf-8")
    partial.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
