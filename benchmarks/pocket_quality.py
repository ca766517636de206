"""Measures the pocket model: what its model card says comes from here.

    python benchmarks/pocket_quality.py --weights sol/models/pocket/weights --out DIR

Writes `pocket-quality.json` and `samples.png` to DIR, and prints the numbers as Markdown tables.
Prompts are held out from training. Videos are made in `--processes` processes of one thread;
the time of a video is measured apart from them, in one process alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import LTXPipeline

from sol.measure.fidelity import Frames, psnr
from sol.measure.hardware import probe, versions
from sol.models.pocket.clips import make_clip
from sol.models.pocket.plots import plot_samples
from sol.models.pocket.prompts import held_out_prompts, held_out_scenes
from sol.models.pocket.sampling import Sampling, generate
from sol.models.pocket.vae_training import clips_to_pixels
from sol.models.pocket.workload import GUIDANCE_SCALE, LONG, NUM_STEPS, SHORT, ClipShape
from sol.validator.metrics.look import sharpness
from sol.validator.metrics.pocket.reading import read_clip
from sol.validator.metrics.pocket.score import find_hits, pocket_fit
from sol.validator.metrics.table import PAIRED_METRICS, VIDEO_METRICS

ATTRIBUTES = ("count", "colour", "shape", "size", "motion")
OTHER_SEED = 10_000
SOLUTION_STEPS = 200
CLIP_SEED = 99
"""Of the drawn clips that the autoencoder and the judge are measured on."""


@dataclass(frozen=True)
class Effort:
    """How many prompts each part takes."""

    prompts: int = 200
    solution: int = 32
    pairs: int = 24
    long: int = 24
    clips: int = 200
    timed: int = 9


@dataclass(frozen=True)
class Job:
    """One video to make."""

    prompt: int
    sampling: Sampling


class Studio:
    """Makes videos in several processes."""

    def __init__(self, weights: Path, n_processes: int) -> None:
        self.weights = weights
        self._pool = ProcessPoolExecutor(
            n_processes, get_context("spawn"), initializer=_one_thread
        )

    def make(self, sampling: Sampling, n_prompts: int) -> list[Frames]:
        """One video for each of the first held-out prompts."""
        jobs = [Job(index, sampling) for index in range(n_prompts)]
        return list(self._pool.map(_make, [self.weights] * n_prompts, jobs))

    def close(self) -> None:
        """Ends the processes."""
        self._pool.shutdown()


def main() -> None:
    """Parses the command line, measures, writes and prints."""
    parser = argparse.ArgumentParser(description="Measures the pocket model.")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a tenth of the prompts")
    arguments = parser.parse_args()
    _one_thread()
    effort = Effort(20, 4, 4, 2, 20, 3) if arguments.quick else Effort()
    arguments.out.mkdir(parents=True, exist_ok=True)
    studio = Studio(arguments.weights.resolve(), arguments.processes)
    results = measure(studio, effort, arguments.out)
    studio.close()
    (arguments.out / "pocket-quality.json").write_text(json.dumps(results, indent=1) + "\n")


def measure(studio: Studio, effort: Effort, out: Path) -> dict[str, Any]:
    """Everything, in the order of the model card."""
    results: dict[str, Any] = {
        "machine": asdict(probe("cpu")),
        "versions": dict(versions()),
        "effort": asdict(effort),
    }

    def add(name: str, part: Any) -> None:
        results[name] = part
        print(f"\n## {name}\n\n{json.dumps(part, indent=1)}", flush=True)

    add("seconds_per_video", measure_seconds(studio.weights, effort.timed))
    add("round_trip_db", measure_round_trip(studio.weights, effort.clips))
    add("judge_on_drawn_clips", measure_judge(effort.clips))
    videos = studio.make(Sampling(), effort.prompts)
    plot_samples(videos[:16], held_out_prompts(16), out / "samples.png", n_columns=2)
    add("accuracy", score(videos))
    solution = studio.make(Sampling(steps=SOLUTION_STEPS), effort.solution)
    add("steps", measure_steps(studio, effort, videos, solution))
    add("guidance", measure_guidance(studio, effort))
    add("seeds", measure_seeds(studio, effort, videos))
    add("long", score(studio.make(Sampling(shape=LONG), effort.long)))
    add("damage", measure_damage(studio, effort, videos))
    return results


def score(videos: Sequence[Frames]) -> dict[str, float]:
    """Share of videos in which all objects of the prompt have an attribute, and two means."""
    scenes = held_out_scenes(len(videos))
    hits = [
        asdict(find_hits(read_clip(v), scene)) for v, scene in zip(videos, scenes, strict=True)
    ]
    shares = {name: _mean(hit[name] for hit in hits) for name in ATTRIBUTES}
    return {
        **shares,
        "all": _mean(all(hit.values()) for hit in hits),
        "fit": _mean(pocket_fit(v) for v in videos),
        "sharpness": _mean(sharpness(v) for v in videos),
        "n": len(videos),
    }


def measure_steps(
    studio: Studio, effort: Effort, videos: Sequence[Frames], solution: Sequence[Frames]
) -> dict[str, dict[str, float]]:
    """Scores by number of steps, with the PSNR to the solution of many steps from one seed."""
    by_steps = {steps: studio.make(Sampling(steps=steps), effort.prompts) for steps in (4, 8, 12)}
    by_steps[NUM_STEPS] = list(videos)
    return {
        str(steps): {**score(made), "psnr_to_solution": _mean_psnr(solution, made)}
        for steps, made in by_steps.items()
    }


def measure_guidance(studio: Studio, effort: Effort) -> dict[str, dict[str, float]]:
    """Scores by guidance scale; 1 is without guidance."""
    scales = (1.0, 1.5 * GUIDANCE_SCALE)
    return {
        f"{scale:g}": score(studio.make(Sampling(guidance_scale=scale), effort.prompts))
        for scale in scales
    }


def measure_seeds(studio: Studio, effort: Effort, videos: Sequence[Frames]) -> dict[str, float]:
    """PSNR between two seeds of a prompt: low, if seeds make different videos."""
    others = studio.make(Sampling(first_seed=OTHER_SEED), effort.pairs)
    values = [psnr(a, b) for a, b in zip(videos, others, strict=False)]
    return {"psnr_mean": _mean(values), "psnr_highest": max(values), "n": len(values)}


def measure_damage(
    studio: Studio, effort: Effort, videos: Sequence[Frames]
) -> dict[str, dict[str, float]]:
    """What the gate's metrics say of planted damage: means of paired metrics, ratios of others."""
    baseline = list(videos[: effort.pairs])
    usual = Sampling()
    planted: dict[str, list[Frames]] = {
        "A/A": studio.make(usual, effort.pairs),
        "8 of 24 steps": studio.make(replace(usual, steps=8), effort.pairs),
        "guidance x1.5": studio.make(
            replace(usual, guidance_scale=1.5 * GUIDANCE_SCALE), effort.pairs
        ),
    }
    for name, spoil in SPOILERS.items():
        planted[name] = [spoil(frames) for frames in baseline]
    return {name: compare(baseline, damaged) for name, damaged in planted.items()}


def compare(baseline: Sequence[Frames], damaged: Sequence[Frames]) -> dict[str, float]:
    """Every metric of the gate: pairs by their mean, single videos by the ratio of means."""
    paired = {
        name: _mean(metric(a, b) for a, b in zip(baseline, damaged, strict=True))
        for name, metric in PAIRED_METRICS.items()
    }
    ratios = {
        f"{name} ratio": _mean(map(metric, damaged)) / _mean(map(metric, baseline))
        for name, metric in VIDEO_METRICS.items()
    }
    return {**paired, **ratios}


def measure_round_trip(weights: Path, n_clips: int) -> dict[str, float]:
    """PSNR in dB of encoding and decoding drawn clips of held-out scenes, by shape."""
    vae = _load(weights).vae
    return {
        f"{shape.width}x{shape.height}x{shape.num_frames}": _mean(
            _round_trip_db(vae, frames) for frames in _draw(n, shape)
        )
        for shape, n in ((SHORT, n_clips), (LONG, n_clips // 5))
    }


def measure_judge(n_clips: int) -> dict[str, float]:
    """How often the judge reads drawn clips right, as they are and spoiled."""
    rng = np.random.default_rng(CLIP_SEED)
    clips = [make_clip(scene, rng) for scene in held_out_scenes(n_clips)]
    spoilers: Mapping[str, Callable[[Frames], Frames]] = {"clean": lambda x: x, **SPOILERS}
    found: dict[str, Any] = {}
    for name in ("clean", "blur", "freeze"):
        frames = [spoilers[name](clip.frames) for clip in clips]
        found[name] = score(frames)
    return found


def measure_seconds(weights: Path, n_videos: int) -> dict[str, float]:
    """Seconds of one video, one thread, after a warm-up."""
    pipeline = _load(weights)
    prompts = held_out_prompts(n_videos)
    list(generate(pipeline, prompts[:1]))
    seconds = []
    for prompt in prompts:
        begun = time.perf_counter()
        list(generate(pipeline, [prompt]))
        seconds.append(time.perf_counter() - begun)
    return {
        "median": float(np.median(seconds)),
        "low": min(seconds),
        "high": max(seconds),
        "n": n_videos,
    }


def blur(frames: Frames) -> Frames:
    """Three passes of a binomial filter along both sides: a standard deviation of 1.2 pixels."""
    for axis in (1, 2):
        for _ in range(3):
            edge = [(1, 1) if i == axis else (0, 0) for i in range(4)]
            padded = np.pad(frames, edge, mode="edge")
            left, middle, right = (
                np.take(padded, range(k, k + frames.shape[axis]), axis) for k in range(3)
            )
            frames = (left + 2 * middle + right) / 4
    return frames


def freeze(frames: Frames) -> Frames:
    """The first frame throughout."""
    return np.repeat(frames[:1], len(frames), axis=0)


def lag(frames: Frames) -> Frames:
    """One frame late."""
    return np.concatenate([frames[:1], frames[:-1]])


SPOILERS: Mapping[str, Callable[[Frames], Frames]] = {"blur": blur, "freeze": freeze, "lag": lag}


def _draw(n_clips: int, shape: ClipShape) -> Iterable[Frames]:
    rng = np.random.default_rng(CLIP_SEED)
    for scene in held_out_scenes(n_clips):
        yield make_clip(scene, rng, shape).frames


@torch.no_grad()
def _round_trip_db(vae: Any, frames: Frames) -> float:
    pixels = clips_to_pixels([frames])
    decoded = vae.decode(vae.encode(pixels).latent_dist.mode()).sample.clamp(-1, 1)
    return psnr(frames, ((decoded[0].permute(1, 2, 3, 0) + 1) / 2).numpy())


def _mean_psnr(references: Sequence[Frames], others: Sequence[Frames]) -> float:
    return _mean(psnr(a, b) for a, b in zip(references, others, strict=False))


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def _make(weights: Path, job: Job) -> Frames:
    prompt = held_out_prompts(job.prompt + 1)[-1]
    how = replace(job.sampling, first_seed=job.sampling.first_seed + job.prompt)
    return next(iter(generate(_load(weights), [prompt], how)))


@cache
def _load(weights: Path) -> LTXPipeline:
    return LTXPipeline.from_pretrained(
        weights, dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
    )


def _one_thread() -> None:
    torch.set_num_threads(1)


if __name__ == "__main__":
    main()
