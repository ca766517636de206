"""A video for every line of a file, by Ray actors that each apply a recipe once.

Run again, it makes what is missing: a file's name binds prompt, seed and recipe.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import ray
import typer
from ray.exceptions import RayError

import sol
from sol.commands.recipe_target import pinned_name
from sol.recipe import Recipe, load_recipe
from sol.video_file import check_video_path

_EXIT_FAILED, _EXIT_USER = 1, 2


@dataclass(frozen=True)
class Job:
    """One video to make."""

    prompt: str
    seed: int
    path: Path


@ray.remote(max_restarts=-1)
class Maker:
    """Holds a pipeline with the recipe on it."""

    def __init__(self, recipe: Recipe, model: str | None, allow: Sequence[str]) -> None:
        import torch

        # As recipes are measured; on a GPU it makes no difference.
        torch.set_num_threads(1)
        target = recipe.target
        self._workload, self._n_made = target.workload, 0
        self._pipeline = sol.load_pipeline(
            model or pinned_name(recipe), target.hardware.device, target.workload.dtype
        )
        self._applied = sol.apply(self._pipeline, recipe, allow=allow, guard=True)

    def is_ready(self) -> bool:
        """Answers once the recipe is applied."""
        return True

    def make(self, job: Job) -> dict[str, Any]:
        """Writes the video; seconds, and what this actor's techniques have counted so far."""
        from sol.runtime.render import render
        from sol.video_file import write_video

        start = time.perf_counter()
        frames = render(self._pipeline, self._workload, job.prompt, job.seed).frames
        # Renamed when it is whole: what is there under its own name is never made again.
        part = job.path.with_name(f".part-{job.path.name}")
        write_video(frames, part, self._workload.frame_rate)
        part.replace(job.path)
        self._n_made += 1
        return {
            "seconds": round(time.perf_counter() - start, 3),
            "videos_of_actor": self._n_made,
            **self._applied.record(),
        }


def read_jobs(prompts: Path, output: Path, digest: str, first_seed: int, ending: str) -> list[Job]:
    """A job a line, each with a seed of its own; empty lines and those with # are left out."""
    lines = (line.strip() for line in prompts.read_text(encoding="utf-8").splitlines())
    kept = (line for line in lines if line and not line.startswith("#"))
    return [
        Job(prompt, seed, output / f"{seed:06d}-{_bind(digest, seed, prompt)}{ending}")
        for seed, prompt in enumerate(kept, start=first_seed)
    ]


def start_makers(
    recipe: Recipe, model: str | None, allow: Sequence[str], n_actors: int | None
) -> list[Any]:
    """Actors with the recipe applied, by default one a GPU of the cluster.

    Raises:
        RayError: The recipe cannot be applied there.
    """
    n_gpus = int(ray.cluster_resources().get("GPU", 0))
    gpus_each = 1 if recipe.target.hardware.device == "cuda" else 0
    actor = Maker.options(num_cpus=1, num_gpus=gpus_each)
    n_wanted = n_actors or (n_gpus if gpus_each else 1) or 1
    makers = [actor.remote(recipe, model, allow) for _ in range(n_wanted)]
    ray.get([maker.is_ready.remote() for maker in makers])
    return makers


def make_all(jobs: Sequence[Job], makers: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """One entry a job, as they end; a job that fails is an entry, and the others go on."""
    waiting, idle = deque(jobs), list(makers)
    running: dict[Any, tuple[Any, Job]] = {}
    while waiting or running:
        while waiting and idle:
            maker, job = idle.pop(), waiting.popleft()
            running[maker.make.remote(job)] = (maker, job)
        (done, *_), _ = ray.wait(list(running))
        maker, job = running.pop(done)
        idle.append(maker)
        yield {"prompt": job.prompt, "seed": job.seed, "file": job.path.name, **_result(done)}


def main(
    recipe: Annotated[Path, typer.Argument(help="A recipe file.")],
    prompts: Annotated[Path, typer.Argument(help="A prompt a line.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder of the videos.")],
    model: Annotated[str | None, typer.Option(help="Where its model is, if elsewhere.")] = None,
    allow: Annotated[list[str] | None, typer.Option(help="A check that need not hold.")] = None,
    actors: Annotated[int | None, typer.Option(help="By default one a GPU, or one.")] = None,
    seed: Annotated[int, typer.Option(help="Of the first prompt; the next has the next.")] = 0,
    ending: Annotated[str, typer.Option(help=".gif, .webp or .mp4")] = ".gif",
    address: Annotated[str | None, typer.Option(help="Of a Ray cluster to join.")] = None,
) -> None:
    """Make the videos that are not there yet; log.jsonl says what became of each."""
    output.mkdir(parents=True, exist_ok=True)
    try:
        loaded = load_recipe(recipe)
        check_video_path(output / f"video{ending}")
        jobs = read_jobs(prompts, output.resolve(), loaded.digest, seed, ending)
        missing = [job for job in jobs if not job.path.is_file()]
        n_failed = _run(missing, loaded, model, allow or (), actors, address, output)
    except (sol.SolError, OSError, RayError) as error:
        typer.echo(_reason(error), err=True)
        raise typer.Exit(_EXIT_USER) from error
    n_made, n_there = len(missing) - n_failed, len(jobs) - len(missing)
    typer.echo(f"{n_made} made, {n_there} were there, {n_failed} failed; see {output}/log.jsonl")
    if n_failed:
        raise typer.Exit(_EXIT_FAILED)


def _run(
    jobs: Sequence[Job],
    recipe: Recipe,
    model: str | None,
    allow: Sequence[str],
    n_actors: int | None,
    address: str | None,
    output: Path,
) -> int:
    """The number of jobs that failed."""
    if not jobs:
        return 0
    ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    n_failed = 0
    with (output / "log.jsonl").open("a", encoding="utf-8") as log:
        for entry in make_all(jobs, start_makers(recipe, model, allow, n_actors)):
            n_failed += "error" in entry
            log.write(json.dumps(entry) + "\n")
            log.flush()
    return n_failed


def _bind(digest: str, seed: int, prompt: str) -> str:
    return hashlib.sha256(f"{digest}\n{seed}\n{prompt}".encode()).hexdigest()[:16]


def _result(done: Any) -> dict[str, Any]:
    try:
        return dict(ray.get(done))
    except RayError as error:
        return {"error": _reason(error)}


def _reason(error: BaseException) -> str:
    """Of an error in an actor its cause, without the traceback."""
    cause = getattr(error, "cause", None)
    if isinstance(error, RayError) and cause is None:
        return str(error).strip().splitlines()[-1]
    return str(cause or error)


if __name__ == "__main__":
    typer.run(main)
