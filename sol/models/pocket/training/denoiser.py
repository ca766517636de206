"""Trains the denoiser by flow matching."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from diffusers import LTXPipeline, LTXVideoTransformer3DModel
from torch import Tensor

from sol.models.pocket.training.checkpoint import TrainingState
from sol.models.pocket.training.latent_pool import Batch, LatentPool, PoolSize, tokenize
from sol.models.pocket.training.optimizers import LearningRates, Optimizers, find_hidden
from sol.models.pocket.training.pacing import Pace, learning_rate_factor
from sol.models.pocket.training.setting import Chore, Setting, run_steps
from sol.models.pocket.workload import LONG, ROPE_INTERPOLATION_SCALE, SHORT, SIGMA_SHIFT

_RATES = LearningRates(hidden=4e-3, other=2e-3)
_CAPTION_DROPOUT = 0.1
_UNIFORM_SHARE = 0.25
_OBJECT_WEIGHT = 5.0
_EMA_DECAY = 0.99
"""The learning rate's decay averages as well; a longer memory holds weights that lag behind it."""
_LONG_PER_SHORT = 3 / 16
"""Long clips in a batch: about as many tokens."""
_POOL_SHORT = PoolSize(start=2048, capacity=16384)
_POOL_LONG = PoolSize(start=192, capacity=2048)
_FRESH = 1 / 8
"""New clips a step, as a share of the batch."""
_LONG_FROM, _LONG_EVERY = 0.75, 4
_CHECKPOINT_EVERY_S = 180.0
_EXPORT_EVERY_S = 900.0
_POOL_STREAM = 3

Export = Callable[[LTXPipeline], None]


def predict_velocity(
    transformer: LTXVideoTransformer3DModel,
    noisy: Tensor,
    sigma: Tensor,
    words: Tensor,
    batch: Batch,
) -> Tensor:
    """Predicts `noise - latents` with the denoiser, called as `LTXPipeline` calls it.

    Args:
        transformer: The denoiser.
        noisy: (clips, tokens, latent channels).
        sigma: (clips,) noise level in [0, 1].
        words: (clips, MAX_SEQUENCE_LENGTH, text width), the encoded captions.
        batch: Their mask and the shape; its latents are not looked at.
    """
    n_frames, height, width = batch.shape.latent_grid
    velocity: Tensor = transformer(
        hidden_states=noisy,
        encoder_hidden_states=words,
        timestep=sigma * 1000,
        encoder_attention_mask=batch.mask,
        num_frames=n_frames,
        height=height,
        width=width,
        rope_interpolation_scale=ROPE_INTERPOLATION_SCALE,
        return_dict=False,
    )[0]
    return velocity


@dataclass(frozen=True)
class _Run:
    """The network that is trained, and the average of its weights."""

    model: LTXVideoTransformer3DModel
    average: LTXVideoTransformer3DModel
    state: TrainingState


def train_denoiser(
    setting: Setting, minutes: float, pipeline: LTXPipeline, export: Export
) -> None:
    """Trains, or resumes from `denoiser.pt`, until `minutes` are used.

    The caller's pipeline holds a trained autoencoder and text encoder; its denoiser is replaced by
    the averaged weights. The first process calls `export` with it at times and at the end.
    """
    run, path = _start(pipeline), setting.folder / "denoiser.pt"
    spent_s, losses = run.state.restore(path), run.state.losses
    feed = _Feed(pipeline, setting, n_steps=len(losses))
    pace = Pace(minutes * 60, spent_s)

    def step(progress: float) -> float:
        batch = feed.draw(len(losses), progress).to(setting.device)
        with torch.no_grad():
            words = pipeline.text_encoder(batch.token_ids)[0]
        return _train_step(run, batch, words, progress, setting)

    def save() -> None:
        run.state.save(path, pace.elapsed_s())

    def show() -> None:
        pipeline.transformer.load_state_dict(run.average.state_dict())
        export(pipeline)

    chores = [Chore(_CHECKPOINT_EVERY_S, save), Chore(_EXPORT_EVERY_S, show)]
    run_steps(setting, pace, losses, step, chores)


class _Feed:
    """Batches of short clips, and late in the training of long ones in between."""

    def __init__(self, pipeline: LTXPipeline, setting: Setting, n_steps: int) -> None:
        stream = [setting.seed, _POOL_STREAM, n_steps, setting.replica.rank]
        rng = np.random.default_rng(stream)
        self._short = LatentPool(pipeline, SHORT, rng, _POOL_SHORT)
        self._long = LatentPool(pipeline, LONG, rng, _POOL_LONG)
        self._empty = tokenize(pipeline.tokenizer, [""])
        self._setting = setting
        self._short.fill()

    def draw(self, n_steps: int, progress: float) -> Batch:
        if progress < _LONG_FROM or n_steps % _LONG_EVERY:
            return self._draw(self._short, share=1.0)
        self._long.fill()
        return self._draw(self._long, _LONG_PER_SHORT)

    def _draw(self, pool: LatentPool, share: float) -> Batch:
        pool.add_fresh(self._setting.part_of_batch(share * _FRESH))
        return drop_captions(pool.draw(self._setting.part_of_batch(share)), self._empty)


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
    return replace(
        batch,
        token_ids=torch.where(dropped, empty[0], batch.token_ids),
        mask=torch.where(dropped, empty[1], batch.mask),
    )


def weigh_objects(on_object: Tensor, sigma: Tensor) -> Tensor:
    """Weights of the loss, of mean 1: more on objects, where the noise lets one see them.

    Outlines are a small part of a picture. At high noise, where an object is not yet placed, a
    weight on its place would draw the mean of all places towards objects; there it fades out.

    Args:
        on_object: (clips, tokens) in [0, 1], how much of a token is object or outline.
        sigma: (clips,) noise level in [0, 1].

    Returns:
        (clips, tokens, 1).
    """
    seen = 1 - sigma.square()
    weight = 1 + (_OBJECT_WEIGHT - 1) * seen[:, None] * on_object
    return (weight / weight.mean())[..., None]


def _train_step(
    run: _Run, batch: Batch, words: Tensor, progress: float, setting: Setting
) -> float:
    sigma = sample_sigma(len(batch.latents)).to(setting.device)
    noise = torch.randn_like(batch.latents)
    noisy = torch.lerp(batch.latents, noise, sigma[:, None, None])
    with setting.mixed_precision():
        velocity = predict_velocity(run.model, noisy, sigma, words, batch)
    error = velocity.float() - (noise - batch.latents)
    loss = (error.square() * weigh_objects(batch.on_object, sigma)).mean()
    torch.autograd.backward(loss)
    setting.replica.average_gradients(run.model)
    run.state.optimizer.step(learning_rate_factor(progress))
    _move_average(run)
    return float(loss.detach())


@torch.no_grad()
def _move_average(run: _Run) -> None:
    n_steps = len(run.state.losses)
    decay = min(_EMA_DECAY, n_steps / (n_steps + 10))
    pairs = zip(run.average.parameters(), run.model.parameters(), strict=True)
    for average, current in pairs:
        average.lerp_(current, 1 - decay)


def _start(pipeline: LTXPipeline) -> _Run:
    model = copy.deepcopy(pipeline.transformer).train()
    average = copy.deepcopy(model).eval().requires_grad_(False)
    hidden = {name for name in find_hidden(model) if name.startswith("transformer_blocks.")}
    networks = {"model": model, "average": average}
    return _Run(model, average, TrainingState(networks, Optimizers(model, hidden, _RATES)))
