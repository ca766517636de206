"""A deployment, run as a script: applies a recipe and prints what came of it as one JSON line.

Arguments: a recipe, the number of timed pairs, then the checks of the target that need not hold.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from dataclasses import asdict
from importlib.util import find_spec

import torch

import sol
from sol.measure.timing import time_pairs
from sol.runtime.render import render

NAMES = ("ray", "optuna", "scipy", "vbench", "cv2", "imageio_ffmpeg", "playwright")
PROMPTS = ("a large red circle moves right", "a small blue square", "a green triangle moves up")


def main(path: str, n_pairs: str, *allow: str) -> None:
    torch.set_num_threads(1)
    recipe, frames, evidence = sol.load_recipe(path), [], []
    workload = recipe.target.workload
    pipe = sol.load_pipeline("pocket", device="cpu")
    with sol.apply(pipe, recipe, allow=allow) as applied:
        for seed, prompt in enumerate(PROMPTS):
            frames.append(render(pipe, workload, prompt, seed).frames)
            evidence.append({name: dict(e.counts) for name, e in applied.evidence().items()})
        baseline = sol.load_pipeline("pocket", device="cpu")
        timing = time_pairs(
            lambda: render(baseline, workload, PROMPTS[0], 0),
            lambda: render(pipe, workload, PROMPTS[0], 0),
            n_pairs=int(n_pairs), warmup=1, synchronize=lambda: None,
            clock=time.perf_counter, device="cpu",
        )  # fmt: skip
    undone = render(pipe, workload, PROMPTS[0], 0).frames
    told = {
        "sol": sol.__file__,
        "there": [name for name in NAMES if find_spec(name) is not None],
        "imported": [name for name in NAMES if name in sys.modules],
        "evidence": evidence,
        "frames": [hashlib.sha256(video.tobytes()).hexdigest() for video in frames],
        "undone": bool((undone == render(baseline, workload, PROMPTS[0], 0).frames).all()),
        "speedup": asdict(timing.speedup),
    }
    print(json.dumps(told))  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main(*sys.argv[1:])
