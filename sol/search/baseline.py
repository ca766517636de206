"""The frozen baseline: what the unmodified pipeline made, kept on disk for every later trial."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sol.runtime.render import Rendering


@dataclass(frozen=True)
class BaselineRun:
    """One baseline video and the seconds it took."""

    rendering: Rendering
    seconds: float


class BaselineStore:
    """One file a (prompt, seed). Written once, never overwritten."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def find(self, prompt: str, seed: int) -> BaselineRun | None:
        """The kept run, or None if there is none."""
        path = self._path(prompt, seed)
        if not path.exists():
            return None
        with np.load(path) as data:
            rendering = Rendering(data["frames"], data["latents"])
            return BaselineRun(rendering, float(data["seconds"]))

    def keep(self, prompt: str, seed: int, run: BaselineRun) -> None:
        """Writes a run that is not there yet; complete or not at all."""
        path = self._path(prompt, seed)
        if path.exists():
            return
        partial = path.with_suffix(f".{os.getpid()}.partial")
        with partial.open("wb") as file:
            np.savez(
                file,
                frames=run.rendering.frames,
                latents=run.rendering.latents,
                seconds=run.seconds,
            )
        partial.replace(path)

    def _path(self, prompt: str, seed: int) -> Path:
        name = hashlib.sha256(f"{seed}\n{prompt}".encode()).hexdigest()[:24]
        return self._folder / f"{name}.npz"
