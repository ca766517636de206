"""A tiny Wan pipeline, with one denoiser or with an expert each for high and low noise."""

from __future__ import annotations

from typing import Any

from diffusers import (
    AutoencoderKLWan,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from tiny.sizes import HEAD_DIM, LATENT_CHANNELS, N_BLOCKS, N_HEADS, T5_SIZES, WIDTH
from transformers import UMT5Config, UMT5EncoderModel

from sol.models.pocket.architecture import build_tokenizer


def build() -> WanPipeline:
    return WanPipeline(**parts())


def parts() -> dict[str, Any]:
    return {
        "scheduler": UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
        "vae": wan_vae(),
        "text_encoder": UMT5EncoderModel(UMT5Config(**T5_SIZES)),
        "tokenizer": build_tokenizer(),
        "transformer": transformer(),
    }


def transformer() -> WanTransformer3DModel:
    return WanTransformer3DModel(
        num_attention_heads=N_HEADS,
        attention_head_dim=HEAD_DIM,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        text_dim=WIDTH,
        freq_dim=WIDTH,
        ffn_dim=2 * WIDTH,
        num_layers=N_BLOCKS,
        rope_max_seq_len=32,
    )


def wan_vae() -> AutoencoderKLWan:
    """Two halvings of space and one of time instead of three and two."""
    return AutoencoderKLWan(
        base_dim=4,
        z_dim=LATENT_CHANNELS,
        dim_mult=[1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True],
        latents_mean=[0.0] * LATENT_CHANNELS,
        latents_std=[1.0] * LATENT_CHANNELS,
        scale_factor_temporal=2,
        scale_factor_spatial=4,
    )


def build_experts() -> WanPipeline:
    """Changes from one expert to the other half-way."""
    return WanPipeline(**parts(), transformer_2=transformer(), boundary_ratio=0.8)
