"""Makes many videos with one set of pocket weights, in several processes of one thread."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import torch
from diffusers import LTXPipeline

from sol.measure.fidelity import Frames
from sol.models.pocket.prompts import held_out_prompts
from sol.models.pocket.sampling import Sampling, generate


@dataclass(frozen=True)
class _Job:
    weights: Path
    prompt: str
    sampling: Sampling


class Studio:
    """Videos of the first held-out prompts."""

    def __init__(self, weights: Path, n_processes: int) -> None:
        self.weights = weights
        context = get_context("spawn")
        self._pool = ProcessPoolExecutor(n_processes, context, initializer=use_one_thread)

    def make(self, sampling: Sampling, n_prompts: int) -> list[Frames]:
        """One video a prompt; the seed is the prompt's place after `first_seed`."""
        jobs = [
            _Job(self.weights, prompt, replace(sampling, first_seed=sampling.first_seed + place))
            for place, prompt in enumerate(held_out_prompts(n_prompts))
        ]
        return list(self._pool.map(_make, jobs))

    def close(self) -> None:
        """Ends the processes."""
        self._pool.shutdown()


@cache
def load_weights(weights: Path) -> LTXPipeline:
    """The pipeline in float32."""
    return LTXPipeline.from_pretrained(
        weights, dtype=torch.float32, local_files_only=True, low_cpu_mem_usage=False
    )


def use_one_thread() -> None:
    """Several threads a process would fight over the cores."""
    torch.set_num_threads(1)


def make_alone(weights: Path, prompts: Sequence[str]) -> list[Frames]:
    """Videos in this process, at the usual settings."""
    return list(generate(load_weights(weights), prompts))


def _make(job: _Job) -> Frames:
    return next(generate(load_weights(job.weights), [job.prompt], job.sampling))
