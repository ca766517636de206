"""A growing pool of encoded clips that the denoiser trains on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import starmap

import numpy as np
import torch
from diffusers import AutoencoderKLLTXVideo, LTXPipeline
from torch import Tensor
from transformers import T5Tokenizer

from sol.models.pocket.data.captions import describe
from sol.models.pocket.data.clips import sample_clip
from sol.models.pocket.data.scenes import Scene
from sol.models.pocket.training.autoencoder import clips_to_pixels
from sol.models.pocket.training.object_mask import share_of_objects
from sol.models.pocket.workload import MAX_SEQUENCE_LENGTH, ClipShape


@dataclass(frozen=True)
class Batch:
    """Encoded clips with their captions.

    Attributes:
        latents: (clips, tokens, latent channels), unit variance.
        token_ids: (clips, MAX_SEQUENCE_LENGTH), long.
        mask: (clips, MAX_SEQUENCE_LENGTH), True on words.
        on_object: (clips, tokens) in [0, 1], how much of a token is object or outline.
        shape: Of every clip.
    """

    latents: Tensor
    token_ids: Tensor
    mask: Tensor
    on_object: Tensor
    shape: ClipShape

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        latents, ids, mask = (x.to(device) for x in (self.latents, self.token_ids, self.mask))
        return Batch(latents, ids, mask, self.on_object.to(device), self.shape)


@dataclass(frozen=True)
class PoolSize:
    """Clips held at first and at most; new ones overwrite the oldest of a full pool."""

    start: int
    capacity: int


@dataclass(frozen=True)
class _Entry:
    """One clip: (tokens, latent channels) and (tokens,), see `Batch`."""

    latents: Tensor
    on_object: Tensor
    scene: Scene


class LatentPool:
    """Encoded clips of one shape, drawn with replacement and worded anew at every draw."""

    def __init__(
        self, pipeline: LTXPipeline, shape: ClipShape, rng: np.random.Generator, size: PoolSize
    ) -> None:
        self._vae: AutoencoderKLLTXVideo = pipeline.vae
        self._tokenizer: T5Tokenizer = pipeline.tokenizer
        self._shape = shape
        self._rng = rng
        self._size = size
        self._clips: list[_Entry] = []
        self._n_added = 0

    def fill(self) -> None:
        """Adds clips up to the size at the start."""
        while len(self._clips) < self._size.start:
            self.add_fresh(1)

    def add_fresh(self, n_clips: int) -> None:
        """Renders, encodes and stores new clips."""
        clips = [sample_clip(self._rng, self._shape) for _ in range(n_clips)]
        pixels = clips_to_pixels([clip.frames for clip in clips])
        scenes = [clip.scene for clip in clips]
        parts = zip(encode(self._vae, pixels), share_of_objects(pixels), scenes, strict=True)
        for entry in starmap(_Entry, parts):
            slot = self._n_added % self._size.capacity
            self._clips[slot : slot + 1] = [entry]
            self._n_added += 1

    def draw(self, n_clips: int) -> Batch:
        """Draws clips, each independently."""
        picked = [self._clips[i] for i in self._rng.integers(len(self._clips), size=n_clips)]
        ids, mask = tokenize(self._tokenizer, [describe(clip.scene, self._rng) for clip in picked])
        latents = torch.stack([clip.latents for clip in picked])
        on_object = torch.stack([clip.on_object for clip in picked])
        return Batch(latents, ids, mask, on_object, self._shape)


def encode(vae: AutoencoderKLLTXVideo, pixels: Tensor) -> Tensor:
    """Encodes clips to the tokens that `LTXPipeline` denoises, in bfloat16: a tenth of the time.

    Args:
        vae: a trained autoencoder, its latent statistics set.
        pixels: (clips, 3, frames, height, width) in [-1, 1], on any device.

    Returns:
        (clips, tokens, latent channels), normalised per channel, on the CPU.
    """
    with torch.no_grad(), torch.autocast(vae.device.type, torch.bfloat16):
        latents = vae.encode(pixels.to(vae.device)).latent_dist.mode()
    normalised = LTXPipeline._normalize_latents(latents.float(), vae.latents_mean, vae.latents_std)
    packed: Tensor = LTXPipeline._pack_latents(normalised).cpu()
    return packed


def tokenize(tokenizer: T5Tokenizer, captions: list[str]) -> tuple[Tensor, Tensor]:
    """Tokenises as `LTXPipeline` does.

    Returns:
        token ids (captions, MAX_SEQUENCE_LENGTH) and a mask of that shape, True on words.
    """
    tokens = tokenizer(
        captions,
        padding="max_length",
        max_length=MAX_SEQUENCE_LENGTH,
        truncation=True,
        return_tensors="pt",
    )
    return tokens.input_ids, tokens.attention_mask.bool()
