"""Trains the denoiser and the text encoder end to end by flow matching."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import LTXPipeline
from torch import Tensor, nn

from sol.models.pocket.checkpoint import find_checkpoint, save_checkpoint
from sol.models.pocket.latent_pool import Batch, LatentPool, tokenize
from sol.models.pocket.optimizers import LearningRates, Optimizers, find_hidden
from sol.models.pocket.pacing import Cadence, Pace, learning_rate_factor
from sol.models.pocket.single_precision_attention import SinglePrecisionAttention
from sol.models.pocket.vae_training import Report
from sol.models.pocket.workload import (
    LATENT_FRAMES,
    LATENT_HEIGHT,
    LATENT_WIDTH,
    ROPE_INTERPOLATION_SCALE,
    SIGMA_SHIFT,
)

_BATCH = 16
_RATES = LearningRates(hidden=4e-3, other=2e-3)
_CAPTION_DROPOUT = 0.1
_EMA_DECAY = 0.999
_POOL_AT_START = 2048
_POOL_CAPACITY = 16384
_STEPS_PER_FRESH = 2
_CHECKPOINT_EVERY_S = 180.0
_EXPORT_EVERY_S = 600.0
_REPORT_EVERY = 50
_POOL_STREAM = 3


class Conditional(nn.Module):
    """The two networks trained together, called as `LTXPipeline` calls them."""

    def __init__(self, pipeline: LTXPipeline) -> None:
        super().__init__()
        self.text_encoder = pipeline.text_encoder
        self.transformer = pipeline.transformer

    def forward(self, noisy: Tensor, sigma: Tensor, token_ids: Tensor, mask: Tensor) -> Tensor:
        """Predicts the velocity `noise - latents`.

        Args:
            noisy: (clips, tokens, latent channels).
            sigma: (clips,) noise level in [0, 1].
            token_ids: (clips, words), padded.
            mask: (clips, words), True on words.
        """
        velocity: Tensor = self.transformer(
            hidden_states=noisy,
            encoder_hidden_states=self.text_encoder(token_ids)[0],
            timestep=sigma * 1000,
            encoder_attention_mask=mask,
            num_frames=LATENT_FRAMES,
            height=LATENT_HEIGHT,
            width=LATENT_WIDTH,
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
    pipeline: LTXPipeline,
    export: Callable[[LTXPipeline], None],
    report: Report,
) -> None:
    """Trains, or resumes from `folder/denoiser.pt`, until `minutes` are used.

    The caller's pipeline holds a trained autoencoder; its other networks are replaced by the
    averaged weights. `export` is called with it every ten minutes and at the end.
    """
    run, path = _start(pipeline), folder / "denoiser.pt"
    spent_s = _restore(run, path)
    torch.manual_seed(seed + len(run.losses))
    pool = _fill_pool(pipeline, np.random.default_rng([seed, _POOL_STREAM, len(run.losses)]))
    empty = tokenize(pipeline.tokenizer, [""])
    pace = Pace(minutes * 60, spent_s)
    saving, exporting = Cadence(pace, _CHECKPOINT_EVERY_S), Cadence(pace, _EXPORT_EVERY_S)
    while not pace.is_over():
        if len(run.losses) % _STEPS_PER_FRESH == 0:
            pool.add_fresh()
        batch = drop_captions(pool.draw(_BATCH), empty)
        run.losses.append(_train_step(run, batch, pace.progress()))
        if len(run.losses) % _REPORT_EVERY == 0:
            mean = np.mean(run.losses[-_REPORT_EVERY:])
            report(f"denoiser step {len(run.losses)} loss {mean:.4f} {pace.elapsed_s():.0f} s")
        if saving.is_due():
            save_checkpoint(run.state(pace.elapsed_s()), path)
        if exporting.is_due():
            _adopt(pipeline, run.average)
            export(pipeline)
    save_checkpoint(run.state(pace.elapsed_s()), path)
    _adopt(pipeline, run.average)
    export(pipeline)


def sample_sigma(n_clips: int) -> Tensor:
    """Draws noise levels (n_clips,): logit-normal, moved by the scheduler's shift.

    What moves and where to is settled at high noise, which the shift makes frequent.
    """
    return torch.sigmoid(torch.randn(n_clips) + SIGMA_SHIFT)


def drop_captions(batch: Batch, empty: tuple[Tensor, Tensor]) -> Batch:
    """Replaces some captions by the empty one, for classifier-free guidance."""
    dropped = (torch.rand(len(batch.latents)) < _CAPTION_DROPOUT)[:, None]
    return Batch(
        latents=batch.latents,
        token_ids=torch.where(dropped, empty[0], batch.token_ids),
        mask=torch.where(dropped, empty[1], batch.mask),
    )


def _train_step(run: _Run, batch: Batch, progress: float) -> float:
    sigma = sample_sigma(len(batch.latents))
    noise = torch.randn_like(batch.latents)
    noisy = torch.lerp(batch.latents, noise, sigma[:, None, None])
    with torch.autocast("cpu", torch.bfloat16), SinglePrecisionAttention():
        velocity = run.model(noisy, sigma, batch.token_ids, batch.mask)
    loss = (velocity.float() - (noise - batch.latents)).square().mean()
    loss.backward()
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


def _fill_pool(pipeline: LTXPipeline, rng: np.random.Generator) -> LatentPool:
    pool = LatentPool(pipeline.vae, pipeline.tokenizer, rng, _POOL_CAPACITY)
    while pool.n_clips < _POOL_AT_START:
        pool.add_fresh()
    return pool


def _adopt(pipeline: LTXPipeline, average: Conditional) -> None:
    pipeline.text_encoder.load_state_dict(average.text_encoder.state_dict())
    pipeline.transformer.load_state_dict(average.transformer.state_dict())
