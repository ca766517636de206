"""Trains the denoiser and the text encoder end to end by flow matching."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import LTXPipeline
from torch import Tensor, nn

from sol.models.pocket.checkpoint import find_checkpoint, save_checkpoint
from sol.models.pocket.latent_pool import Batch, LatentPool, PoolSize, tokenize
from sol.models.pocket.optimizers import LearningRates, Optimizers, find_hidden
from sol.models.pocket.pacing import Cadence, Pace, learning_rate_factor
from sol.models.pocket.replicas import Replica
from sol.models.pocket.single_precision_attention import SinglePrecisionAttention
from sol.models.pocket.vae_training import Report
from sol.models.pocket.workload import LONG, ROPE_INTERPOLATION_SCALE, SHORT, SIGMA_SHIFT

_RATES = LearningRates(hidden=4e-3, other=2e-3)
_CAPTION_DROPOUT = 0.1
_UNIFORM_SHARE = 0.25
_EMA_DECAY = 0.999
_BATCH_SHORT, _BATCH_LONG = 16, 3
_POOL_SHORT = PoolSize(start=2048, capacity=16384)
_POOL_LONG = PoolSize(start=192, capacity=2048)
_FRESH_SHORT, _FRESH_LONG = 2, 1
"""New clips at every step of a shape."""
_LONG_FROM, _LONG_EVERY = 0.6, 4
_CHECKPOINT_EVERY_S = 180.0
_EXPORT_EVERY_S = 900.0
_REPORT_EVERY = 50
_POOL_STREAM = 3

Export = Callable[[LTXPipeline], None]


class Conditional(nn.Module):
    """The two networks trained together, called as `LTXPipeline` calls them."""

    def __init__(self, pipeline: LTXPipeline) -> None:
        super().__init__()
        self.text_encoder = pipeline.text_encoder
        self.transformer = pipeline.transformer

    def forward(self, noisy: Tensor, sigma: Tensor, batch: Batch) -> Tensor:
        """Predicts the velocity `noise - latents`.

        Args:
            noisy: (clips, tokens, latent channels).
            sigma: (clips,) noise level in [0, 1].
            batch: The captions and the shape; its latents are not looked at.
        """
        n_frames, height, width = batch.shape.latent_grid
        velocity: Tensor = self.transformer(
            hidden_states=noisy,
            encoder_hidden_states=self.text_encoder(batch.token_ids)[0],
            timestep=sigma * 1000,
            encoder_attention_mask=batch.mask,
            num_frames=n_frames,
            height=height,
            width=width,
            rope_interpolation_scale=ROPE_INTERPOLATION_SCALE,
            return_dict=False,
        )[0]
        return velocity


@dataclass
class _Run:
    """Everything that a checkpoint stores."""

    model: Conditional
    average: Conditional
    optimizer: Optimizers
    losses: list[float]

    def state(self, spent_s: float) -> dict[str, object]:
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "spent_s": spent_s,
            "losses": self.losses,
        }


def train_denoiser(
    folder: Path,
    minutes: float,
    seed: int,
    replica: Replica,
    pipeline: LTXPipeline,
    export: Export,
    report: Report,
) -> None:
    """Trains, or resumes from `folder/denoiser.pt`, until `minutes` are used.

    The caller's pipeline holds a trained autoencoder; its other networks are replaced by the
    averaged weights. The first replica calls `export` with it at times and at the end.
    """
    run, path = _start(pipeline), folder / "denoiser.pt"
    spent_s = _restore(run, path)
    stream = [seed, _POOL_STREAM, len(run.losses), replica.rank]
    feed = _Feed(pipeline, np.random.default_rng(stream))
    pace = Pace(minutes * 60, spent_s)
    torch.manual_seed(seed + replica.rank + replica.count * len(run.losses))
    saving, exporting = Cadence(pace, _CHECKPOINT_EVERY_S), Cadence(pace, _EXPORT_EVERY_S)
    while (progress := replica.follow(pace.progress())) < 1:
        batch = feed.draw(len(run.losses), progress)
        run.losses.append(_train_step(run, batch, progress, replica))
        if not replica.is_first:
            continue
        if len(run.losses) % _REPORT_EVERY == 0:
            mean = np.mean(run.losses[-_REPORT_EVERY:])
            report(f"denoiser step {len(run.losses)} loss {mean:.4f} {pace.elapsed_s():.0f} s")
        if saving.is_due():
            save_checkpoint(run.state(pace.elapsed_s()), path)
        if exporting.is_due():
            _adopt(pipeline, run.average)
            export(pipeline)
    if replica.is_first:
        save_checkpoint(run.state(pace.elapsed_s()), path)
        _adopt(pipeline, run.average)
        export(pipeline)


class _Feed:
    """Batches of short clips, and late in the training of long ones in between."""

    def __init__(self, pipeline: LTXPipeline, rng: np.random.Generator) -> None:
        self._short = LatentPool(pipeline, SHORT, rng, _POOL_SHORT)
        self._long = LatentPool(pipeline, LONG, rng, _POOL_LONG)
        self._empty = tokenize(pipeline.tokenizer, [""])
        self._short.fill()

    def draw(self, n_steps: int, progress: float) -> Batch:
        if progress < _LONG_FROM or n_steps % _LONG_EVERY:
            self._short.add_fresh(_FRESH_SHORT)
            return drop_captions(self._short.draw(_BATCH_SHORT), self._empty)
        self._long.fill()
        self._long.add_fresh(_FRESH_LONG)
        return drop_captions(self._long.draw(_BATCH_LONG), self._empty)


def sample_sigma(n_clips: int) -> Tensor:
    """Draws noise levels (n_clips,): logit-normal, moved by the scheduler's shift, or uniform.

    What moves and where to is settled at high noise, which the shift makes frequent; outlines are
    settled at low noise, which the uniform share keeps from being forgotten.
    """
    shifted = torch.sigmoid(torch.randn(n_clips) + SIGMA_SHIFT)
    is_uniform = torch.rand(n_clips) < _UNIFORM_SHARE
    return torch.where(is_uniform, torch.rand(n_clips), shifted)


def drop_captions(batch: Batch, empty: tuple[Tensor, Tensor]) -> Batch:
    """Replaces some captions by the empty one, for classifier-free guidance."""
    dropped = (torch.rand(len(batch.latents)) < _CAPTION_DROPOUT)[:, None]
    return Batch(
        latents=batch.latents,
        token_ids=torch.where(dropped, empty[0], batch.token_ids),
        mask=torch.where(dropped, empty[1], batch.mask),
        shape=batch.shape,
    )


def _train_step(run: _Run, batch: Batch, progress: float, replica: Replica) -> float:
    sigma = sample_sigma(len(batch.latents))
    noise = torch.randn_like(batch.latents)
    noisy = torch.lerp(batch.latents, noise, sigma[:, None, None])
    with torch.autocast("cpu", torch.bfloat16), SinglePrecisionAttention():
        velocity = run.model(noisy, sigma, batch)
    loss = (velocity.float() - (noise - batch.latents)).square().mean()
    loss.backward()
    replica.average_gradients(run.model)
    run.optimizer.step(learning_rate_factor(progress))
    _move_average(run)
    return float(loss.detach())


@torch.no_grad()
def _move_average(run: _Run) -> None:
    decay = min(_EMA_DECAY, len(run.losses) / (len(run.losses) + 10))
    pairs = zip(run.average.parameters(), run.model.parameters(), strict=True)
    for average, current in pairs:
        average.lerp_(current, 1 - decay)


def _start(pipeline: LTXPipeline) -> _Run:
    model = copy.deepcopy(Conditional(pipeline)).train()
    average = copy.deepcopy(model).eval().requires_grad_(False)
    hidden = {name for name in find_hidden(model) if ".transformer_blocks." in name}
    return _Run(model, average, Optimizers(model, hidden, _RATES), losses=[])


def _restore(run: _Run, path: Path) -> float:
    """Loads the checkpoint, if any, into `run`; returns the seconds it had used."""
    state = find_checkpoint(path)
    if state is None:
        return 0.0
    run.model.load_state_dict(state["model"])
    run.average.load_state_dict(state["average"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.losses = state["losses"]
    return float(state["spent_s"])


def _adopt(pipeline: LTXPipeline, average: Conditional) -> None:
    pipeline.text_encoder.load_state_dict(average.text_encoder.state_dict())
    pipeline.transformer.load_state_dict(average.transformer.state_dict())
