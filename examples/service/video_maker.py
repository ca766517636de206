"""One pipeline with a recipe on it, and the one thread that may use it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import sol
from sol.commands.recipe_target import pinned_name
from sol.recipe import Recipe
from sol.runtime.render import render
from sol.video_file import write_video

_WARM_UP = "a first video, in which code is compiled"


class QueueFullError(Exception):
    """As many videos wait as are allowed to."""


@dataclass(frozen=True)
class Video:
    """A finished file and the seconds that making it took."""

    content: bytes
    seconds: float


class VideoMaker:
    """Makes one video at a time: a pipeline is not thread-safe, so it has a thread of its own.

    Args:
        model: Where the recipe's model is, if not where the recipe says.
        allow: Checks of the recipe's target that need not hold.
        max_waiting: Videos that may wait, besides the one that is made.

    Raises:
        SolError: The model cannot be loaded, or the recipe not be applied to it, here.
    """

    def __init__(
        self,
        recipe: Recipe,
        model: str | None = None,
        allow: Collection[str] = (),
        max_waiting: int = 8,
    ) -> None:
        self.recipe = recipe
        self._max_waiting = max_waiting
        self._thread = ThreadPoolExecutor(1, "video-maker")
        self._lock = Lock()
        self._n_waiting = self._n_made = 0
        try:
            self._start_s = self._thread.submit(self._start, model, allow).result()
        except BaseException:
            self._thread.shutdown()
            raise

    def submit(self, prompt: str, seed: int, ending: str) -> Future[Video]:
        """Queues a video; `ending` decides its format.

        Raises:
            QueueFullError: Ask again later.
        """
        with self._lock:
            if self._n_waiting > self._max_waiting:
                raise QueueFullError
            self._n_waiting += 1
        future = self._thread.submit(self._make, prompt, seed, ending)
        # Also of a video whose client has gone before its turn came.
        future.add_done_callback(self._leave)
        return future

    def health(self) -> dict[str, Any]:
        """What is applied, and what it has done so far."""
        target = self.recipe.target
        return {
            "recipe": self.recipe.digest,
            "target": asdict(target) | {"fingerprint": target.fingerprint},
            **self._applied.record(),
            "start_s": self._start_s,
            "videos": self._n_made,
            "waiting": self._n_waiting,
        }

    def close(self) -> None:
        """Drops what waits, and restores the pipeline."""
        self._thread.shutdown(cancel_futures=True)
        self._applied.undo()

    def _start(self, model: str | None, allow: Collection[str]) -> dict[str, float]:
        """Seconds of loading, of installing, and of the first video."""
        target, times = self.recipe.target, [time.perf_counter()]
        self._pipeline = sol.load_pipeline(
            model or pinned_name(self.recipe), target.hardware.device, target.workload.dtype
        )
        times.append(time.perf_counter())
        self._applied = sol.apply(self._pipeline, self.recipe, allow=allow, guard=True)
        times.append(time.perf_counter())
        self._make(_WARM_UP, 0, ".gif")
        times.append(time.perf_counter())
        names = ("load", "apply", "first_video")
        return {name: round(times[i + 1] - times[i], 2) for i, name in enumerate(names)}

    def _make(self, prompt: str, seed: int, ending: str) -> Video:
        start, workload = time.perf_counter(), self.recipe.target.workload
        frames = render(self._pipeline, workload, prompt, seed).frames
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"video{ending}"
            write_video(frames, path, workload.frame_rate)
            content = path.read_bytes()
        self._n_made += 1
        return Video(content, time.perf_counter() - start)

    def _leave(self, _: Future[Video]) -> None:
        with self._lock:
            self._n_waiting -= 1
