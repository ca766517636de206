"""`sol vbench`: what is set up, and bringing what is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sol.validator.vbench.dimensions import DIMENSIONS, check_dimensions
from sol.validator.vbench.environment import VBenchEnv, get_vbench, read_mark, why_incomplete
from sol.validator.vbench.fetch import prefetch
from sol.validator.vbench.lock import is_present, read_lock
from sol.validator.vbench.weights import LICENCES, WEIGHTS, weights_of


@dataclass(frozen=True)
class VBenchStatus:
    """What an environment's folder holds.

    Attributes:
        incomplete: What keeps the packages from being used, as a clause; None if nothing does.
        versions: Of Python and the packages, once they are set up.
        present: Files of weights that are there, by name.
        missing: Dimension to the files that it still needs.
    """

    root: Path
    incomplete: str | None
    versions: dict[str, str]
    present: tuple[str, ...]
    missing: dict[str, tuple[str, ...]]

    @property
    def can_run(self) -> tuple[str, ...]:
        """The dimensions that can be scored now."""
        return () if self.incomplete else tuple(n for n, gone in self.missing.items() if not gone)

    def to_json(self) -> dict[str, Any]:
        """What `sol vbench status --json` prints."""
        return {
            "environment": str(self.root),
            "complete": self.incomplete is None,
            "reason": self.incomplete,
            "versions": self.versions,
            "weights": list(self.present),
            "can_run": list(self.can_run),
            "missing": {name: list(files) for name, files in self.missing.items()},
            "licences": list(LICENCES),
        }


def vbench_status(root: Path) -> VBenchStatus:
    """Looks at an environment's folder, whatever its state.

    Raises:
        VBenchError: The list of digests cannot be read.
    """
    lock, mark = read_lock(root), read_mark(root) or {}
    there = {file.name for file in WEIGHTS if is_present(root, file, lock)}
    return VBenchStatus(
        root=root,
        incomplete=why_incomplete(root),
        versions=dict(mark.get("versions", {})),
        present=tuple(file.name for file in WEIGHTS if file.name in there),
        missing={
            name: tuple(f.name for f in weights_of((name,)) if f.name not in there)
            for name in DIMENSIONS
        },
    )


def fetch_weights(
    root: Path, dimensions: str | None, source: Path | None, report: Callable[[str], None]
) -> VBenchEnv:
    """Brings the weights of dimensions, named with commas between them, or of all.

    Raises:
        VBenchError: The environment is not complete, or a file cannot be brought.
        UnknownNameError: An unknown dimension.
    """
    env = get_vbench(root)
    names = [n.strip() for n in dimensions.split(",")] if dimensions else list(DIMENSIONS)
    prefetch(env, check_dimensions(names), source, report)
    return env
