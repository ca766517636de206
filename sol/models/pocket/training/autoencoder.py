"""Trains the video autoencoder on fresh clips and measures its latents."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLLTXVideo
from torch import Tensor

from sol.models.pocket.architecture import build_vae
from sol.models.pocket.data.clips import Array, sample_clip
from sol.models.pocket.training.checkpoint import TrainingState
from sol.models.pocket.training.object_mask import VIVID, mask_objects
from sol.models.pocket.training.optimizers import LearningRates, Optimizers, find_hidden
from sol.models.pocket.training.pacing import Pace, learning_rate_factor
from sol.models.pocket.training.setting import Chore, Setting, run_steps
from sol.models.pocket.workload import LONG, SHORT

_RATES = LearningRates(hidden=6e-3, other=2e-3)
_NOT_HIDDEN = ("encoder.conv_in", "encoder.conv_out", "decoder.conv_out")
_CROPS_PER_CLIP, _CROP_PX, _CROP_FRAMES = 6 / 16, 32, 9
_WHOLE_PER_CLIP, _WHOLE_LONG_PER_CLIP = 3 / 16, 1 / 16
"""Crops, and whole clips, a step: as fractions of the batch of the setting."""
_WHOLE_FROM = 0.75
_LONG_SHARE = 0.25
_ON_OBJECT = 0.7
_OBJECT_WEIGHT = 3.0
_KL_WEIGHT = 3e-4
_INITIAL_LOG_VARIANCE = -4.0
_CHECKPOINT_EVERY_S = 120.0
_LATENT_STREAM = 1


def clips_to_pixels(clips: list[Array]) -> Tensor:
    """Stacks clips as the autoencoder takes them: (clips, 3, frames, height, width), [-1, 1]."""
    frames = torch.from_numpy(np.stack(clips))
    return frames.permute(0, 4, 1, 2, 3).contiguous() * 2 - 1


def train_vae(setting: Setting, minutes: float) -> AutoencoderKLLTXVideo:
    """Trains the autoencoder, or resumes from `vae.pt`, until `minutes` are used.

    The loss is L1 + 4 MSE, more on objects than on the background, and a small KL term. The
    learning rate follows a cosine over the budget.

    Returns:
        the autoencoder, its `latents_mean` and `latents_std` set from clips.
    """
    torch.manual_seed(setting.seed)
    vae, path = _initialise(setting), setting.folder / "vae.pt"
    run = TrainingState({"vae": vae}, Optimizers(vae, find_hidden(vae, _NOT_HIDDEN), _RATES))
    pace = Pace(minutes * 60, run.restore(path))
    if setting.replica.follow(pace.progress()) < 1:
        _train(vae, run, pace, path, setting)
    setting.replica.wait()
    run.restore(path)
    return vae.eval()


def _train(
    vae: AutoencoderKLLTXVideo, run: TrainingState, pace: Pace, path: Path, setting: Setting
) -> None:
    def step(progress: float) -> float:
        stream = [setting.seed, len(run.losses), setting.replica.rank]
        pixels = _draw_pixels(np.random.default_rng(stream), setting, progress)
        loss = _backpropagate(vae, pixels.to(setting.device), setting)
        setting.replica.average_gradients(vae)
        run.optimizer.step(learning_rate_factor(progress))
        return loss

    def save() -> None:
        run.save(path, pace.elapsed_s())

    run_steps(setting, pace, run.losses, step, [Chore(_CHECKPOINT_EVERY_S, save)])
    if setting.replica.is_first:
        _set_latent_statistics(vae, setting)
        save()


def _initialise(setting: Setting) -> AutoencoderKLLTXVideo:
    vae = build_vae().to(setting.device)
    with torch.no_grad():
        vae.encoder.conv_out.conv.bias[-1] = _INITIAL_LOG_VARIANCE
    return vae


def _backpropagate(vae: AutoencoderKLLTXVideo, pixels: Tensor, setting: Setting) -> float:
    """Leaves the gradients in the autoencoder; returns how far the decoded pixels are off."""
    with setting.mixed_precision():
        posterior = vae.encode(pixels).latent_dist
        decoded = vae.decode(posterior.sample()).sample.float()
    error = decoded - pixels
    fidelity = ((error.abs() + 4 * error.square()) * _weigh(pixels)).mean()
    divergence = posterior.kl().float().sum() / posterior.mean.numel()
    (fidelity + _KL_WEIGHT * divergence).backward()
    return float(fidelity.detach())


def _weigh(pixels: Tensor) -> Tensor:
    """Weights (clips, 1, frames, height, width) of mean 1: more on objects and their outlines."""
    weight = 1 + (_OBJECT_WEIGHT - 1) * mask_objects(pixels)
    return weight / weight.mean()


def _draw_pixels(rng: np.random.Generator, setting: Setting, progress: float) -> Tensor:
    """Draws crops, most of them on an object, where there is most to learn; later whole clips."""
    shape = LONG if rng.random() < _LONG_SHARE else SHORT
    if progress < _WHOLE_FROM:
        n_crops = setting.part_of_batch(_CROPS_PER_CLIP)
        crops = [_crop(sample_clip(rng, shape).frames, rng) for _ in range(n_crops)]
        return clips_to_pixels(crops)
    n_clips = setting.part_of_batch(_WHOLE_PER_CLIP if shape is SHORT else _WHOLE_LONG_PER_CLIP)
    return clips_to_pixels([sample_clip(rng, shape).frames for _ in range(n_clips)])


def _crop(frames: Array, rng: np.random.Generator) -> Array:
    """Cuts a block of space and time around a pixel of an object, or around any pixel."""
    first = rng.integers(len(frames) - _CROP_FRAMES + 1)
    middle = frames[first + _CROP_FRAMES // 2]
    vivid = middle.max(axis=-1) - middle.min(axis=-1) > VIVID
    rows, columns = np.nonzero(vivid if rng.random() < _ON_OBJECT else np.ones_like(vivid))
    point = rng.integers(len(rows))
    top, left = (
        int(np.clip(axis[point] - rng.integers(_CROP_PX), 0, extent - _CROP_PX))
        for axis, extent in ((rows, frames.shape[1]), (columns, frames.shape[2]))
    )
    return frames[first : first + _CROP_FRAMES, top : top + _CROP_PX, left : left + _CROP_PX]


@torch.no_grad()
def _set_latent_statistics(
    vae: AutoencoderKLLTXVideo, setting: Setting, n_clips: int = 256
) -> None:
    rng = np.random.default_rng([setting.seed, _LATENT_STREAM])
    drawn = (clips_to_pixels([sample_clip(rng).frames]) for _ in range(n_clips))
    latents = torch.cat([vae.encode(p.to(setting.device)).latent_dist.mode() for p in drawn])
    vae.latents_mean.copy_(latents.mean(dim=(0, 2, 3, 4)))
    vae.latents_std.copy_(latents.std(dim=(0, 2, 3, 4)))
