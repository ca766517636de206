"""A tiny Cosmos Predict 2.5 pipeline."""

from __future__ import annotations

from diffusers import (
    Cosmos2_5_PredictBasePipeline,
    CosmosTransformer3DModel,
    UniPCMultistepScheduler,
)
from tiny.guardrail import stand_in_for_guardrail
from tiny.qwen import N_ENCODER_LAYERS, build_qwen_encoder, build_qwen_tokenizer
from tiny.sizes import HEAD_DIM, LATENT_CHANNELS, N_BLOCKS, N_HEADS, WIDTH
from tiny.wan import wan_vae

stand_in_for_guardrail()


def build() -> Cosmos2_5_PredictBasePipeline:
    return Cosmos2_5_PredictBasePipeline(
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            use_karras_sigmas=True,
            # Not the published 200, with which the first of eight steps hardly differ.
            sigma_max=20.0,
            sigma_min=0.01,
        ),
        vae=wan_vae(),
        text_encoder=build_qwen_encoder(),
        tokenizer=build_qwen_tokenizer(),
        transformer=CosmosTransformer3DModel(
            # One more says which latents are given.
            in_channels=LATENT_CHANNELS + 1,
            out_channels=LATENT_CHANNELS,
            num_attention_heads=N_HEADS,
            attention_head_dim=HEAD_DIM,
            num_layers=N_BLOCKS,
            mlp_ratio=2.0,
            text_embed_dim=WIDTH,
            adaln_lora_dim=8,
            max_size=(32, 32, 32),
            # The published models have it; then diffusers needs torchvision.
            concat_padding_mask=False,
            extra_pos_embed_type=None,
            use_crossattn_projection=True,
            # The states of every layer, side by side.
            crossattn_proj_in_channels=N_ENCODER_LAYERS * WIDTH,
            encoder_hidden_states_channels=WIDTH,
        ),
    )
