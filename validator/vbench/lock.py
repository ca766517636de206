"""The digests of the weights that an environment holds: each file stays what it was at first."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sol.validation import explain, validate_plain
from sol.validator.vbench.dimensions import DIMENSIONS
from sol.validator.vbench.environment import VBenchEnv
from sol.validator.vbench.error import VBenchError
from sol.validator.vbench.weights import WEIGHTS, WeightFile, weights_of

LOCK = "weights.lock.json"


@dataclass(frozen=True)
class Locked:
    """What a file was when it came.

    Attributes:
        sha256: In hexadecimal.
        size: In bytes.
    """

    sha256: str
    size: int


def read_lock(root: Path) -> Mapping[str, Locked]:
    """Name of a file to what it was; empty while none has come.

    Raises:
        VBenchError: The lock cannot be read.
    """
    path = root / LOCK
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        return validate_plain(_ADAPTER, data)
    except FileNotFoundError:
        return {}
    except ValidationError as error:
        raise VBenchError(f"{path} is no list of digests: {explain(error)} {_REMEDY}") from error
    except (OSError, ValueError) as error:
        raise VBenchError(f"{path} cannot be read: {error}. {_REMEDY}") from error


def write_locked(root: Path, name: str, locked: Locked) -> None:
    """Adds a file, or replaces what was known of it."""
    entries = {**read_lock(root), name: locked}
    plain = {key: asdict(value) for key, value in sorted(entries.items())}
    partial = root / f"{LOCK}.partial"
    partial.write_text(json.dumps(plain, indent=1), encoding="utf-8")
    partial.replace(root / LOCK)


def is_present(root: Path, file: WeightFile, lock: Mapping[str, Locked]) -> bool:
    """Whether the file came by `sol vbench prefetch` and lies, whole, in all its places."""
    locked = lock.get(file.name)
    paths = [root / place for place in file.places]
    return locked is not None and all(
        p.is_file() and p.stat().st_size == locked.size for p in paths
    )


def missing_weights(
    env: VBenchEnv, dimensions: Collection[str], weights: Sequence[WeightFile] = WEIGHTS
) -> tuple[WeightFile, ...]:
    """The files that the dimensions need and that are not there."""
    lock = read_lock(env.root)
    needed = weights_of(dimensions, weights)
    return tuple(file for file in needed if not is_present(env.root, file, lock))


def available_dimensions(
    env: VBenchEnv, weights: Sequence[WeightFile] = WEIGHTS
) -> tuple[str, ...]:
    """The dimensions whose weights are all there."""
    return tuple(name for name in DIMENSIONS if not missing_weights(env, (name,), weights))


_ADAPTER = TypeAdapter(dict[str, Locked])
_REMEDY = "Remove it and run `sol vbench prefetch`."
