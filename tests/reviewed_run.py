"""The folder of a run as it is reviewed: a recipe, a report and a few kept pairs."""

from __future__ import annotations

import json

import numpy as np

from sol.lossless_video import write_lossless
from sol.recipe import (
    Measured,
    Member,
    Memory,
    Provenance,
    QualityCheck,
    Recipe,
    RecipeEvidence,
    dump_recipe,
)
from sol.target import Hardware, Model, Target, Workload
from sol.validator.kept_videos import KeptPair, KeptVideos, write_kept

FRAMES, HEIGHT, WIDTH, FPS = 5, 24, 32, 8.0
WHEN = "2026-01-02T03:04:05+00:00"
RUN_ID = "20260102-030405-pocket"


def make_recipe(run_id=RUN_ID):
    speed = Measured(1.8, 1.7, 1.9, 9, "a machine")
    return Recipe(
        schema="sol.recipe/1",
        target=Target(
            Model("pocket", "ltx", "local", "sha256:00"),
            Hardware("cpu", "a machine", 2, 23.5, ("avx2",)),
            Workload(HEIGHT, WIDTH, FRAMES, 24, 3.0, 8, 32),
        ),
        stack=(Member("step_mask", "cache", {"skip": "3-5"}),),
        evidence=RecipeEvidence(
            speedup=speed,
            baseline_s=speed,
            accelerated_s=speed,
            quality=(QualityCheck("psnr", 31.0, 30.2, 25.0, 12),),
            memory=Memory(10, 8, None, None, 1, "a machine"),
            engagement={"step_mask": {"calls_skipped": 3}},
        ),
        provenance=Provenance(run_id, WHEN, {"torch": "2.13.0"}, "g", "d", "b"),
    )


def make_run(root, n_pairs=4, accepted=True):
    """Writes root/<run id>; the accelerated videos are a little brighter."""
    run = root / RUN_ID
    for arm in ("baseline", "stack"):
        (run / "videos" / arm).mkdir(parents=True)
    pairs = []
    for index in range(n_pairs):
        frames = moving_bar(index)
        name = f"pair{index}.mp4"
        write_lossless(frames, run / "videos" / "baseline" / name, FPS)
        write_lossless(np.clip(frames + 0.05, 0, 1), run / "videos" / "stack" / name, FPS)
        pairs.append(
            KeptPair(
                id=f"pair{index}",
                prompt=f"a bar of kind {index} moves right",
                seed=index,
                stratum="motion",
                baseline=f"baseline/{name}",
                accelerated=f"stack/{name}",
                metrics={"psnr": 40.0 - index, "ssim": 0.9},
            )
        )
    write_kept(run, KeptVideos(FPS, HEIGHT, WIDTH, FRAMES, "step_mask 3-5", tuple(pairs)))
    (run / "report.json").write_text(json.dumps({"run_id": RUN_ID, "headline": "1.8x"}))
    if accepted:
        (run / "recipe.yaml").write_text(dump_recipe(make_recipe()), encoding="utf-8")
    return run


def moving_bar(kind):
    """A bright bar crossing a textured background: (frames, height, width, 3)."""
    rng = np.random.default_rng(kind)
    frames = np.repeat(rng.uniform(0.1, 0.5, (1, HEIGHT, WIDTH, 3)), FRAMES, axis=0)
    for t in range(FRAMES):
        frames[t, :, 4 * t : 4 * t + 6] = rng.uniform(0.6, 0.9, 3)
    return frames.astype(np.float32)
