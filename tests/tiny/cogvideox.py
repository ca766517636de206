"""Tiny CogVideoX pipelines: as the 5B, with rotary tables and a scheduler that adds noise, and as
the 2B, with added positions and none."""

from __future__ import annotations

from typing import Any

from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)
from tiny.sizes import (
    HEAD_DIM,
    LATENT_CHANNELS,
    N_BLOCKS,
    N_HEADS,
    N_TEXT_TOKENS,
    T5_SIZES,
    WIDTH,
)
from transformers import T5Config, T5EncoderModel

from sol.models.pocket.architecture import build_tokenizer

_SCHEDULE: dict[str, Any] = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
    "rescale_betas_zero_snr": True,
    "set_alpha_to_one": True,
}
"""Of all published ones; `snr_shift_scale` is 3 for the 2B and 1 for the 5B."""


def build() -> CogVideoXPipeline:
    return _pipeline(
        CogVideoXDPMScheduler(**_SCHEDULE, snr_shift_scale=1.0),
        use_rotary_positional_embeddings=True,
    )


def build_2b() -> CogVideoXPipeline:
    return _pipeline(
        CogVideoXDDIMScheduler(**_SCHEDULE, snr_shift_scale=3.0),
        use_rotary_positional_embeddings=False,
    )


def build_1_5() -> CogVideoXPipeline:
    """A token is a patch of two frames as well."""
    return _pipeline(
        CogVideoXDPMScheduler(**_SCHEDULE, snr_shift_scale=1.0),
        use_rotary_positional_embeddings=True,
        patch_size_t=2,
        patch_bias=False,
    )


def _pipeline(scheduler: Any, **kind: Any) -> CogVideoXPipeline:
    return CogVideoXPipeline(
        scheduler=scheduler,
        vae=AutoencoderKLCogVideoX(
            latent_channels=LATENT_CHANNELS,
            block_out_channels=(8, 8, 8),
            down_block_types=("CogVideoXDownBlock3D",) * 3,
            up_block_types=("CogVideoXUpBlock3D",) * 3,
            layers_per_block=1,
            norm_num_groups=2,
            temporal_compression_ratio=4,
        ),
        text_encoder=T5EncoderModel(T5Config(**T5_SIZES)),
        tokenizer=build_tokenizer(),
        transformer=CogVideoXTransformer3DModel(
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            num_attention_heads=N_HEADS,
            attention_head_dim=HEAD_DIM,
            num_layers=N_BLOCKS,
            time_embed_dim=WIDTH,
            text_embed_dim=WIDTH,
            max_text_seq_length=N_TEXT_TOKENS,
            # Larger than any of the tests' clips: positions are cut or stretched to it.
            sample_height=16,
            sample_width=24,
            sample_frames=33,
            **kind,
        ),
    )
