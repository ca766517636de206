"""The clock, driven by pipelines that call the denoiser in the ways diffusers' pipelines do."""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import nn

from sol.clock import Clock
from sol.runtime.ticker import start_ticking


class Denoiser(nn.Module):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self.clock = clock
        self.seen: list[tuple[int, int, str]] = []

    @contextmanager
    def cache_context(self, name: str):
        yield

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append((self.clock.video, self.clock.step, self.clock.branch))
        return x


class Pipeline:
    """Two calls a step, as Wan's does, or one batched call, as LTX's does."""

    def __init__(self, clock: Clock, two_calls: bool) -> None:
        self.scheduler = FlowMatchEulerDiscreteScheduler()
        self.transformer = Denoiser(clock)
        self.contexts = ("cond", "uncond") if two_calls else ("cond_uncond",)

    def __call__(self, steps: int) -> None:
        self.scheduler.set_timesteps(steps)
        x = torch.zeros(1, 4)
        for t in self.scheduler.timesteps:
            for name in self.contexts:
                with self.transformer.cache_context(name):
                    out = self.transformer(x)
            x = self.scheduler.step(out, t, x, return_dict=False)[0]


def roles_of(pipeline):
    return SimpleNamespace(
        denoisers=[SimpleNamespace(module=pipeline.transformer)],
        guidance="two_call" if len(pipeline.contexts) > 1 else "batched",
        is_guided=lambda _: True,
        names_branches=True,
    )


@pytest.mark.parametrize("two_calls", [False, True])
def test_the_clock_follows_step_branch_and_video(two_calls):
    clock = Clock()
    pipeline = Pipeline(clock, two_calls)
    stop = start_ticking(pipeline, roles_of(pipeline), clock)
    pipeline(3)
    pipeline(2)
    branches = ("cond", "uncond") if two_calls else ("both",)
    assert pipeline.transformer.seen == [
        (video, step, branch)
        for video, steps in ((1, 3), (2, 2))
        for step in range(steps)
        for branch in branches
    ]
    stop()


def test_sigma_is_the_schedulers():
    clock, sigmas = Clock(), []
    pipeline = Pipeline(clock, two_calls=False)
    start_ticking(pipeline, roles_of(pipeline), clock)
    pipeline.transformer.register_forward_hook(lambda *_: sigmas.append(clock.sigma))
    pipeline(4)
    assert sigmas == [float(s) for s in pipeline.scheduler.sigmas[:4]]


def test_stopping_restores_the_instances_exactly():
    clock = Clock()
    pipeline = Pipeline(clock, two_calls=True)
    before = (dict(vars(pipeline.scheduler)), set(vars(pipeline.transformer)))
    stop = start_ticking(pipeline, roles_of(pipeline), clock)
    assert "step" in vars(pipeline.scheduler)
    stop()
    assert (dict(vars(pipeline.scheduler)), set(vars(pipeline.transformer))) == before
    pipeline(2)
    assert clock.video == 0


def test_wrapped_methods_keep_their_signature():
    """Pipelines look for `sigmas` in set_timesteps' signature."""
    clock = Clock()
    pipeline = Pipeline(clock, two_calls=False)
    start_ticking(pipeline, roles_of(pipeline), clock)
    assert "sigmas" in inspect.signature(pipeline.scheduler.set_timesteps).parameters


def test_subscribers_forget_at_every_video_until_they_unsubscribe():
    clock, forgotten = Clock(), []
    unsubscribe = clock.on_video(lambda: forgotten.append(clock.video))
    clock.begin_video(3)
    clock.begin_video(3)
    unsubscribe()
    clock.begin_video(3)
    assert forgotten == [1, 2]
