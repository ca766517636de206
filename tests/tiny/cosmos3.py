"""A tiny Cosmos 3 pipeline. Its saved folder says that it has no safety checker."""

from __future__ import annotations

from diffusers import (
    Cosmos3OmniPipeline,
    Cosmos3OmniTransformer,
    UniPCMultistepScheduler,
)
from tiny.qwen import build_qwen_tokenizer, qwen_vocabulary
from tiny.sizes import HEAD_DIM, LATENT_CHANNELS, N_BLOCKS, N_HEADS, WIDTH
from tiny.wan import wan_vae

_PATCH = 2


def build() -> Cosmos3OmniPipeline:
    return Cosmos3OmniPipeline(
        scheduler=UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
        vae=wan_vae(),
        text_tokenizer=build_qwen_tokenizer(),
        transformer=Cosmos3OmniTransformer(
            head_dim=HEAD_DIM,
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            latent_channel=LATENT_CHANNELS,
            latent_patch_size=_PATCH,
            patch_latent_dim=_PATCH * _PATCH * LATENT_CHANNELS,
            num_attention_heads=N_HEADS,
            num_key_value_heads=1,
            num_hidden_layers=N_BLOCKS,
            rope_axes_dim=[4, 2, 2],
            vocab_size=len(qwen_vocabulary()),
        ),
        enable_safety_checker=False,
    )
