"""A growing pool of encoded clips that the denoiser trains on."""

from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKLLTXVideo, LTXPipeline
from torch import Tensor
from transformers import T5Tokenizer

from sol.models.pocket.clips import sample_clip
from sol.models.pocket.vae_training import clips_to_pixels
from sol.models.pocket.workload import MAX_SEQUENCE_LENGTH

_ENCODED_AT_ONCE = 4


@dataclass(frozen=True)
class Batch:
    """Encoded clips with their captions.

    Attributes:
        latents: (clips, tokens, latent channels), unit variance.
        token_ids: (clips, MAX_SEQUENCE_LENGTH), long.
        mask: (clips, MAX_SEQUENCE_LENGTH), True on words.
    """

    latents: Tensor
    token_ids: Tensor
    mask: Tensor


class LatentPool:
    """Encoded clips, drawn with replacement; new ones overwrite the oldest when it is full."""

    def __init__(
        self,
        vae: AutoencoderKLLTXVideo,
        tokenizer: T5Tokenizer,
        rng: np.random.Generator,
        capacity: int,
    ) -> None:
        self._vae = vae
        self._tokenizer = tokenizer
        self._rng = rng
        self._capacity = capacity
        self._chunks: list[Batch] = []
        self._n_added = 0

    @property
    def n_clips(self) -> int:
        """How many clips can be drawn."""
        return len(self._chunks) * _ENCODED_AT_ONCE

    def add_fresh(self) -> None:
        """Renders, encodes and stores a few new clips."""
        clips = [sample_clip(self._rng) for _ in range(_ENCODED_AT_ONCE)]
        ids, mask = tokenize(self._tokenizer, [clip.caption for clip in clips])
        pixels = clips_to_pixels([clip.frames for clip in clips])
        chunk = Batch(encode(self._vae, pixels), ids, mask)
        slot = self._n_added % (self._capacity // _ENCODED_AT_ONCE)
        self._chunks[slot : slot + 1] = [chunk]
        self._n_added += 1

    def draw(self, n_clips: int) -> Batch:
        """Draws clips, each independently."""
        chunks = self._rng.integers(len(self._chunks), size=n_clips)
        rows = self._rng.integers(_ENCODED_AT_ONCE, size=n_clips)
        picked = [(self._chunks[chunk], row) for chunk, row in zip(chunks, rows, strict=True)]
        return Batch(
            latents=torch.stack([chunk.latents[row] for chunk, row in picked]),
            token_ids=torch.stack([chunk.token_ids[row] for chunk, row in picked]),
            mask=torch.stack([chunk.mask[row] for chunk, row in picked]),
        )


def encode(vae: AutoencoderKLLTXVideo, pixels: Tensor) -> Tensor:
    """Encodes clips to the tokens that `LTXPipeline` denoises.

    Args:
        vae: a trained autoencoder, its latent statistics set.
        pixels: (clips, 3, frames, height, width) in [-1, 1].

    Returns:
        (clips, tokens, latent channels), normalised per channel.
    """
    with torch.no_grad():
        latents = vae.encode(pixels).latent_dist.mode()
    normalised = LTXPipeline._normalize_latents(latents, vae.latents_mean, vae.latents_std)
    packed: Tensor = LTXPipeline._pack_latents(normalised)
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
