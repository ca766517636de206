"""A tiny SkyReels-V2 pipeline, for which Sol has no adapter."""

from __future__ import annotations

from diffusers import SkyReelsV2Pipeline, SkyReelsV2Transformer3DModel
from tiny.sizes import HEAD_DIM, LATENT_CHANNELS, N_BLOCKS, N_HEADS, WIDTH
from tiny.wan import parts


def build() -> SkyReelsV2Pipeline:
    transformer = SkyReelsV2Transformer3DModel(
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
    return SkyReelsV2Pipeline(**{**parts(), "transformer": transformer})
