"""The weight files of a pipeline folder: which are read, whether they are whole, what they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sol.errors import ModelLoadError
from sol.models.files.model_index import ModelIndex
from sol.models.files.safetensors_header import read_header

_CHUNK_BYTES = 1 << 20


def find_safetensors(folder: Path) -> tuple[Path, ...]:
    """The safetensors files that a component's folder is loaded from; none where it has none.

    Files of a variant, such as model.fp16.safetensors, are not among them.
    """
    indices = [p for p in sorted(folder.glob("*.safetensors.index.json")) if _is_plain(p)]
    if not indices:
        return tuple(p for p in sorted(folder.glob("*.safetensors")) if _is_plain(p))
    return tuple(folder / name for name in sorted(set(_read_shards(indices[0]))))


def find_pickles(folder: Path) -> tuple[Path, ...]:
    """The pickled weights of a component's folder."""
    return tuple(sorted(folder.glob("*pytorch_model*.bin")))


def check_weights(folder: Path, index: ModelIndex, allow_pickle: bool) -> tuple[str, ...]:
    """Looks at every component's files, and reads none of the weights.

    Returns:
        For people: which components are pickles. None unless they were allowed.

    Raises:
        ModelLoadError: Weights are missing, damaged, or pickles that were not allowed.
    """
    warnings = []
    for part in index.models:
        own = folder / part.name
        files = find_safetensors(own)
        for path in files:
            _check_file(path)
        if not files:
            warnings.append(_take_pickle(own, allow_pickle))
    return tuple(warnings)


def digest_weights(folder: Path) -> str:
    """SHA-256 over the weights and configs of a pipeline folder, by relative name.

    Pickles count where there are no safetensors beside them: only then are they read.
    """
    digest = hashlib.sha256()
    files = [p for p in folder.rglob("*") if p.suffix in (".safetensors", ".json")]
    files += [p for p in folder.glob("*/*.bin") if _is_read(p)]
    for path in sorted(files, key=lambda p: p.relative_to(folder).as_posix()):
        digest.update(path.relative_to(folder).as_posix().encode())
        _update_from(digest, path)
    return f"sha256:{digest.hexdigest()}"


def _is_read(pickle: Path) -> bool:
    return pickle in find_pickles(pickle.parent) and not find_safetensors(pickle.parent)


def _update_from(digest: Any, path: Path) -> None:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)


def _is_plain(path: Path) -> bool:
    """Whether a file is of no variant: that stands between the name and the suffix."""
    return "." not in path.name.removesuffix(".index.json").removesuffix(".safetensors")


def _read_shards(index: Path) -> Iterable[str]:
    try:
        names: Iterable[str] = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelLoadError(
            f"{index} is damaged: it does not say which files the weights are in ({error}). "
            "Delete it and fetch the model again."
        ) from error
    return names


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise ModelLoadError(
            f"{path} is missing: the index beside it names it. Fetch the model again."
        )
    read_header(path)


def _take_pickle(folder: Path, allow_pickle: bool) -> str:
    pickles = find_pickles(folder)
    if not pickles:
        raise ModelLoadError(
            f"{folder} has no safetensors weights. Fetch the model again, or make the folder "
            "with pipeline.save_pretrained(folder)."
        )
    if not allow_pickle:
        raise ModelLoadError(
            f"Sol reads safetensors alone, and {folder} has only {pickles[0].name}: loading a "
            "pickle runs whatever code is in it. If you trust its makers, pass --allow-pickle; "
            "or convert it: load it elsewhere and call pipeline.save_pretrained(folder)."
        )
    return f"{folder.name} was read from a pickle ({pickles[0].name}), which can run code"
