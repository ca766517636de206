"""Measures the pocket model: what its model card says comes from here.

    python benchmarks/pocket_quality.py --weights sol/models/pocket/weights --out DIR

Writes `pocket-quality.json` and `samples.png` to DIR. Prompts are held out from training. Videos
are made in `--processes` processes of one thread; the time of one is measured in one alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from studio import Studio, load_weights, make_alone, use_one_thread

from sol.measure.fidelity import Frames, psnr
from sol.measure.hardware import probe, versions
from sol.models.pocket.data.clips import Clip, make_clip
from sol.models.pocket.data.scenes import Scene
from sol.models.pocket.prompts import held_out_prompts, held_out_scenes
from sol.models.pocket.sampling import Sampling
from sol.models.pocket.training.autoencoder import clips_to_pixels
from sol.models.pocket.training.plots import plot_samples
from sol.models.pocket.workload import GUIDANCE_SCALE, LONG, NUM_STEPS, SHORT, ClipShape
from sol.validator.damage import blur, freeze, lag
from sol.validator.metrics.look import sharpness
from sol.validator.metrics.pocket.reading import read_clip
from sol.validator.metrics.pocket.score import find_hits, pocket_fit

SOLUTION_STEPS = 200
FEWER_STEPS = (4, 8, 12)
CLIP_SEED = 99
"""Of the drawn clips that the autoencoder and the judge are measured on."""
N_SHOWN = 16
OTHER_SEED = 10_000
SPOILERS = {"blur": blur, "freeze": freeze, "lag": lag}


@dataclass(frozen=True)
class Effort:
    """How many prompts, or clips, each part takes."""

    prompts: int = 200
    solution: int = 32
    seeds: int = 32
    long: int = 32
    clips: int = 200
    timed: int = 9


QUICK = Effort(prompts=20, solution=3, seeds=4, long=2, clips=20, timed=3)


def main() -> None:
    """Parses the command line, measures and writes."""
    parser = argparse.ArgumentParser(description="Measures the pocket model.")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a tenth of the prompts")
    arguments = parser.parse_args()
    use_one_thread()
    arguments.out.mkdir(parents=True, exist_ok=True)
    studio = Studio(arguments.weights.resolve(), arguments.processes)
    results = measure(studio, QUICK if arguments.quick else Effort(), arguments.out)
    studio.close()
    (arguments.out / "pocket-quality.json").write_text(json.dumps(results, indent=1) + "\n")


def measure(studio: Studio, effort: Effort, out: Path) -> dict[str, Any]:
    """Everything, the quick parts first."""
    parts = {
        "machine": asdict(probe("cpu")),
        "versions": dict(versions()),
        "seconds_per_video": measure_seconds(studio.weights, effort.timed),
        "round_trip_db": measure_round_trip(studio.weights, effort.clips),
        "judge_on_drawn_clips": measure_judge(effort.clips),
    }
    _say(parts)
    videos = studio.make(Sampling(), effort.prompts)
    plot_samples(videos[:N_SHOWN], held_out_prompts(N_SHOWN), out / "samples.png")
    for name, part in _measure_videos(studio, effort, videos):
        _say({name: part})
        parts[name] = part
    return parts


def _measure_videos(
    studio: Studio, effort: Effort, videos: Sequence[Frames]
) -> Iterator[tuple[str, Any]]:
    yield "accuracy", score(videos)
    yield "guidance", measure_guidance(studio, effort)
    yield "steps", measure_steps(studio, effort, videos)
    yield "seeds", measure_seeds(studio, effort, videos)
    yield "long", score(studio.make(Sampling(shape=LONG), effort.long))


def score(videos: Sequence[Frames], scenes: Sequence[Scene] | None = None) -> dict[str, float]:
    """Share of videos in which all objects of the prompt have an attribute, and two means."""
    wanted = scenes or held_out_scenes(len(videos))
    hits = [asdict(find_hits(read_clip(v), s)) for v, s in zip(videos, wanted, strict=True)]
    return {
        **{name: mean(hit[name] for hit in hits) for name in hits[0]},
        "all": mean(all(hit.values()) for hit in hits),
        "fit": mean(map(pocket_fit, videos)),
        "sharpness": mean(map(sharpness, videos)),
        "n": len(videos),
    }


def measure_guidance(studio: Studio, effort: Effort) -> dict[str, dict[str, float]]:
    """Scores by guidance scale; 1 is without guidance."""
    scales = (1.0, 1.5 * GUIDANCE_SCALE)
    return {
        f"{scale:g}": score(studio.make(Sampling(guidance_scale=scale), effort.prompts))
        for scale in scales
    }


def measure_steps(
    studio: Studio, effort: Effort, videos: Sequence[Frames]
) -> dict[str, dict[str, float]]:
    """Scores by number of steps, with the PSNR to the solution of many steps from one seed."""
    solution = studio.make(Sampling(steps=SOLUTION_STEPS), effort.solution)
    by_steps = {n: studio.make(Sampling(steps=n), effort.prompts) for n in FEWER_STEPS}
    by_steps[NUM_STEPS] = list(videos)
    return {
        str(n): {**score(made), "psnr_to_solution": mean(map(psnr, solution, made))}
        for n, made in by_steps.items()
    }


def measure_seeds(studio: Studio, effort: Effort, videos: Sequence[Frames]) -> dict[str, float]:
    """PSNR between two seeds of a prompt: low, if seeds make different videos."""
    others = studio.make(Sampling(first_seed=OTHER_SEED), effort.seeds)
    values = list(map(psnr, videos, others))
    return {"psnr_mean": mean(values), "psnr_highest": max(values), "n": len(values)}


def measure_judge(n_clips: int) -> dict[str, dict[str, float]]:
    """How often the judge reads drawn clips right, as they are and spoiled."""
    clips = list(_draw(n_clips, SHORT))
    scenes = [clip.scene for clip in clips]
    return {
        "clean": score([clip.frames for clip in clips], scenes),
        **{
            name: score([spoil(clip.frames) for clip in clips], scenes)
            for name, spoil in SPOILERS.items()
        },
    }


def measure_round_trip(weights: Path, n_clips: int) -> dict[str, float]:
    """PSNR in dB of encoding and decoding drawn clips of held-out scenes, by shape."""
    vae = load_weights(weights).vae
    return {
        f"{shape.width}x{shape.height}x{shape.num_frames}": mean(
            _round_trip_db(vae, clip.frames) for clip in _draw(n, shape)
        )
        for shape, n in ((SHORT, n_clips), (LONG, n_clips // 5))
    }


def measure_seconds(weights: Path, n_videos: int) -> dict[str, float]:
    """Seconds of one video, one thread, after a warm-up."""
    prompts = held_out_prompts(n_videos)
    make_alone(weights, prompts[:1])
    seconds = []
    for prompt in prompts:
        begun = time.perf_counter()
        make_alone(weights, [prompt])
        seconds.append(time.perf_counter() - begun)
    middle = float(np.median(seconds))
    return {"median": middle, "low": min(seconds), "high": max(seconds), "n": n_videos}


def mean(values: Iterable[float]) -> float:
    """Of an iterable, as a plain float."""
    return float(np.mean(list(values)))


def _draw(n_clips: int, shape: ClipShape) -> Iterator[Clip]:
    rng = np.random.default_rng(CLIP_SEED)
    for scene in held_out_scenes(n_clips):
        yield make_clip(scene, rng, shape)


@torch.no_grad()
def _round_trip_db(vae: Any, frames: Frames) -> float:
    pixels = clips_to_pixels([frames])
    decoded = vae.decode(vae.encode(pixels).latent_dist.mode()).sample.clamp(-1, 1)
    return psnr(frames, ((decoded[0].permute(1, 2, 3, 0) + 1) / 2).numpy())


def _say(part: Any) -> None:
    print(json.dumps(part, indent=1), flush=True)


if __name__ == "__main__":
    main()
