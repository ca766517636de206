"""Bringing weights into an environment: by download, or from a folder without a network."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

from sol.validator.vbench.download import download
from sol.validator.vbench.environment import VBenchEnv
from sol.validator.vbench.error import VBenchError
from sol.validator.vbench.lock import Locked, missing_weights, read_lock, write_locked
from sol.validator.vbench.weights import WEIGHTS, WeightFile

_INCOMING = "incoming"


def prefetch(
    env: VBenchEnv,
    dimensions: Collection[str],
    source: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
    weights: Sequence[WeightFile] = WEIGHTS,
) -> None:
    """Brings every file that the dimensions need and that is not there yet.

    Args:
        source: A folder that has them, flat or laid out as VBench's cache; without it they are
            downloaded.
        report: Takes a line for each file.

    Raises:
        VBenchError: A file is in neither place, cannot be written, or is not what it should be.
    """
    missing = missing_weights(env, dimensions, weights)
    found = find_in(source, missing) if source else {}
    for file in missing:
        report(f"{file.name}, about {file.about_mb:g} MB")
        try:
            _bring(env, file, found.get(file.name))
        except OSError as error:
            raise _cannot_write(file, env.root, error) from error


def find_in(source: Path, files: Sequence[WeightFile]) -> Mapping[str, Path]:
    """The path of each file in a folder, by name.

    Raises:
        VBenchError: Some are not there; all of them are named, with their addresses.
    """
    paths = {f.name: next((p for p in _candidates(source, f) if p.is_file()), None) for f in files}
    absent = [file for file in files if paths[file.name] is None]
    if absent:
        named = "\n".join(f"  {file.name}  {file.url}" for file in absent)
        raise VBenchError(
            f"{source} lacks {len(absent)} of {len(files)} files. Put each there under its name, "
            f"or in the layout of VBench's cache:\n{named}"
        )
    return {name: path for name, path in paths.items() if path}


def _candidates(source: Path, file: WeightFile) -> tuple[Path, ...]:
    """As in an environment of Sol, as in VBENCH_CACHE_DIR or TORCH_HOME, or by name alone."""
    inside = (str(PurePosixPath(*PurePosixPath(place).parts[1:])) for place in file.places)
    return tuple(source / path for path in (*file.places, *inside, file.name))


def _bring(env: VBenchEnv, file: WeightFile, origin: Path | None) -> None:
    incoming = env.root / _INCOMING / file.name
    incoming.parent.mkdir(parents=True, exist_ok=True)
    if origin:
        shutil.copyfile(origin, incoming)
    else:
        download(file.url, incoming)
    locked = Locked(sha256_of(incoming), incoming.stat().st_size)
    _check_digest(env.root, file, locked, incoming)
    for place in file.places:
        _put(incoming, env.root / place)
    incoming.unlink()
    write_locked(env.root, file.name, locked)


def _check_digest(root: Path, file: WeightFile, locked: Locked, incoming: Path) -> None:
    known = read_lock(root).get(file.name)
    expected = file.sha256 or (known.sha256 if known else locked.sha256)
    if locked.sha256 != expected:
        incoming.unlink()
        raise VBenchError(
            f"{file.name} must have SHA-256 {expected}, got {locked.sha256}: the file is damaged "
            f"or another one. Get it anew from {file.url}."
        )


def _put(incoming: Path, path: Path) -> None:
    """A second name for the same bytes where the file system can, otherwise a copy; atomic."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        os.link(incoming, partial)
    except OSError:
        shutil.copyfile(incoming, partial)
    partial.replace(path)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cannot_write(file: WeightFile, root: Path, error: OSError) -> VBenchError:
    if error.errno == errno.ENOSPC:
        free_mb = 0.0
        with suppress(OSError):
            free_mb = shutil.disk_usage(root).free / 1e6
        return VBenchError(
            f"{file.name} needs about {file.about_mb:g} MB in {root}, {free_mb:.0f} MB are free: "
            "make room, or choose another folder with --env."
        )
    return VBenchError(f"{file.name} cannot be kept: {error}. Check {root}.")
