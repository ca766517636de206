"""A tiny LTX-Video pipeline."""

from __future__ import annotations

from diffusers import AutoencoderKLLTXVideo, LTXPipeline, LTXVideoTransformer3DModel
from tiny.sizes import HEAD_DIM, LATENT_CHANNELS, N_BLOCKS, N_HEADS, T5_SIZES, WIDTH
from transformers import T5Config, T5EncoderModel

from sol.models.pocket.architecture import build_scheduler, build_tokenizer


def build() -> LTXPipeline:
    return LTXPipeline(
        scheduler=build_scheduler(),
        vae=AutoencoderKLLTXVideo(
            latent_channels=LATENT_CHANNELS,
            patch_size=2,
            patch_size_t=1,
            block_out_channels=(8, 8, 8),
            down_block_types=("LTXVideo095DownBlock3D", "LTXVideo095DownBlock3D"),
            layers_per_block=(0, 1, 1),
            spatio_temporal_scaling=(True, True),
            downsample_type=("spatiotemporal", "spatiotemporal"),
            decoder_block_out_channels=(8, 8),
            decoder_layers_per_block=(0, 1, 1),
            decoder_spatio_temporal_scaling=(True, True),
            decoder_inject_noise=(False, False, False),
            upsample_residual=(True, True),
            upsample_factor=(1, 1),
        ),
        text_encoder=T5EncoderModel(T5Config(**T5_SIZES)),
        tokenizer=build_tokenizer(),
        transformer=LTXVideoTransformer3DModel(
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            num_attention_heads=N_HEADS,
            attention_head_dim=HEAD_DIM,
            cross_attention_dim=WIDTH,
            num_layers=N_BLOCKS,
            caption_channels=WIDTH,
        ),
    )
