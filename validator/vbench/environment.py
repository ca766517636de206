"""Where VBench lives: a folder with its packages, its weights and a mark of completeness."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sol.validator.vbench.error import VBenchError

TORCH_PINS = Path(__file__).with_name("torch.txt")
"""Installed with what they need: on a machine with a GPU that is CUDA."""
PINS = Path(__file__).with_name("requirements.txt")
"""Everything else, each by its exact version and without what it says it needs."""
_MARK = "complete.json"


@dataclass(frozen=True)
class VBenchEnv:
    """An environment that is complete.

    Attributes:
        root: Its folder.
        python: The interpreter that has VBench.
    """

    root: Path
    python: Path

    @property
    def cache_dir(self) -> Path:
        """What VBench knows as VBENCH_CACHE_DIR."""
        return self.root / "cache"

    @property
    def torch_home(self) -> Path:
        """What torch.hub knows as TORCH_HOME."""
        return self.root / "torch"


def python_folder(root: Path) -> Path:
    """The virtual environment inside an environment's folder."""
    return root / "venv"


def python_of(root: Path) -> Path:
    """The interpreter inside an environment's folder."""
    return python_folder(root) / "bin" / "python"


def requirements_digest() -> str:
    """SHA-256 of both lists of pins."""
    return hashlib.sha256(TORCH_PINS.read_bytes() + b"\0" + PINS.read_bytes()).hexdigest()


def why_incomplete(root: Path) -> str | None:
    """What an environment's folder lacks, as a clause; None if it is complete."""
    if not python_folder(root).exists():
        return "it was not set up"
    mark = read_mark(root)
    if mark is None:
        return "its setup was not finished"
    if mark.get("requirements") != requirements_digest():
        return "it was made for another version of Sol"
    if not python_of(root).exists():
        return f"its Python {python_of(root)} is gone"
    return None


def find_vbench(root: Path) -> VBenchEnv | None:
    """The environment in `root`, if it is complete."""
    return None if why_incomplete(root) else VBenchEnv(root, python_of(root))


def get_vbench(root: Path) -> VBenchEnv:
    """The environment in `root`.

    Raises:
        VBenchError: It is not complete.
    """
    reason = why_incomplete(root)
    if reason:
        raise VBenchError(f"VBench cannot run from {root}: {reason}. Run `sol vbench setup`.")
    return VBenchEnv(root, python_of(root))


def read_mark(root: Path) -> dict[str, Any] | None:
    """What setup wrote last; None without it, or if it cannot be read."""
    try:
        mark = json.loads((root / _MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return mark if isinstance(mark, dict) else None


def write_mark(root: Path, versions: dict[str, str]) -> None:
    """Marks an environment as complete."""
    partial = root / f"{_MARK}.partial"
    mark = {"requirements": requirements_digest(), "versions": versions}
    partial.write_text(json.dumps(mark, indent=1), encoding="utf-8")
    partial.replace(root / _MARK)


def remove_mark(root: Path) -> None:
    """Marks an environment as not complete."""
    (root / _MARK).unlink(missing_ok=True)
