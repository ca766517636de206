"""What each technique costs at its identity setting: output bit by bit, seconds as a ratio.

    python benchmarks/identity.py --skill cache --out benchmarks/results/identity-pocket.json

Whole videos on a CPU. The seconds of a run drift by several percent, more than what is to be seen,
so baseline and technique are made in lockstep: two threads take turns after every denoising step,
and what slows the machine down for a while slows both. Counted are the processor seconds of each
thread. The overhead is the median, over all parts of all videos, of the ratio of the two arms; a
part is a step, with the text before the first one, or the decoder after the last. Its interval is
a bootstrap over videos. The first row is the baseline against itself: what the timing reads where
there is nothing to see.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sol.models.families import describe_roles
from sol.models.loading import LoadedModel, load_model
from sol.models.prompts import calibration_prompts
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import Rendering, render
from sol.skills.registry import TECHNIQUES
from sol.technique import Stack, StackItem, find_obstacle

# Techniques that need more than their defaults before they can be installed on pocket at all.
_SETTINGS = {
    "magcache": {"ratios": {"both": [1.0] * 24}},
    "diffusers_mag": {"mag_ratios": [1.0] * 24},
    "cache_dit": {"Fn_compute_blocks": 1},
}
_MAX_WAIT_S = 600.0
_DRAWS = 2000


@dataclass
class _Turns:
    """Lets two threads run in turns, part by part, and takes the time of each part."""

    first: int
    seconds: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))

    def __post_init__(self) -> None:
        self._gates = (threading.Semaphore(), threading.Semaphore())
        self._gates[1 - self.first].acquire()

    def run(self, arm: int, make: Callable[[Callable[..., None]], Rendering]) -> Rendering:
        """Runs one arm; `make` is given what it is to call after each step."""
        # OpenMP keeps the number of threads for each thread that asks.
        torch.set_num_threads(1)
        started = self._wait(arm)

        def after_step(*_: object) -> None:
            nonlocal started
            self._pass_on(arm, started)
            started = self._wait(arm)

        try:
            return make(after_step)
        finally:
            self._pass_on(arm, started)

    def _wait(self, arm: int) -> float:
        if not self._gates[arm].acquire(timeout=_MAX_WAIT_S):
            raise TimeoutError("The other arm did not come to its next step.")
        return time.thread_time()

    def _pass_on(self, arm: int, started: float) -> None:
        self.seconds[arm].append(time.thread_time() - started)
        self._gates[1 - arm].release()


def main() -> None:
    """Measures and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="pocket")
    parser.add_argument("--skill", default="cache")
    parser.add_argument("--videos", type=int, default=40)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    loaded = load_model(args.model, "cpu")
    names = _names(loaded, args.skill)
    rows: list[dict[str, Any]] = []
    args.out.parent.mkdir(parents=True, exist_ok=True)
    for name in ("baseline", *names):
        rows.append(_measure(loaded, name, args.videos))
        result = {"model": args.model, "videos": args.videos, "rows": rows}
        args.out.write_text(json.dumps(result, indent=2) + "\n")


def _names(loaded: LoadedModel, skill: str) -> list[str]:
    roles = describe_roles(loaded.pipeline)
    return [
        technique.name
        for technique in TECHNIQUES.values()
        if technique.skill == skill
        and technique.identity is not None
        and find_obstacle(technique, roles) is None
    ]


def _stack(name: str) -> Stack:
    if name == "baseline":
        return ()
    return (StackItem(name, {**_SETTINGS.get(name, {}), **(TECHNIQUES[name].identity or {})}),)


def _measure(loaded: LoadedModel, name: str, n_videos: int) -> dict[str, Any]:
    clone = clone_pipeline(loaded.pipeline)
    applied = install_stack(clone, _stack(name))
    _lockstep(loaded, clone, 0)
    videos = [_lockstep(loaded, clone, n % 2) for n in range(n_videos)]
    applied.undo()
    baseline, identity = np.array([seconds for seconds, _ in videos]).transpose(1, 0, 2)
    ratios = identity / baseline  # (videos, parts)
    row = {
        "technique": name,
        "bit_identical": all(same for _, same in videos),
        "overhead": float(np.median(ratios)) - 1,
        "interval": _bootstrap_median(ratios),
        "baseline_s": float(np.median(baseline.sum(axis=1))),
    }
    print(
        "{technique:22s} overhead {overhead:+.2%} [{0:+.2%}, {1:+.2%}], "
        "bit-identical: {bit_identical}".format(*row["interval"], **row),
        flush=True,
    )
    return row


def _bootstrap_median(ratios: np.ndarray[Any, Any]) -> list[float]:
    """95% interval of the median, less 1; a video's parts are drawn together."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(ratios), size=(_DRAWS, len(ratios)))
    medians = [np.median(ratios[videos]) for videos in drawn]
    return [float(bound) - 1 for bound in np.quantile(medians, (0.025, 0.975))]


def _lockstep(loaded: LoadedModel, clone: Any, first: int) -> tuple[list[list[float]], bool]:
    """Seconds of the parts of both arms, and whether their latents are equal bit by bit."""
    prompt = calibration_prompts(loaded.prompts, 1)[0]
    turns = _Turns(first)

    def run(arm: int) -> Rendering:
        pipeline = (loaded.pipeline, clone)[arm]
        return turns.run(
            arm, lambda on_step: render(pipeline, loaded.workload, prompt, 0, on_step)
        )

    with ThreadPoolExecutor(2) as pool:
        baseline, identity = pool.map(run, (0, 1))
    return list(turns.seconds), np.array_equal(baseline.latents, identity.latents)


if __name__ == "__main__":
    main()
