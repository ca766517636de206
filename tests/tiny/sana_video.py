"""A tiny SANA-Video pipeline."""

from __future__ import annotations

from diffusers import (
    DPMSolverMultistepScheduler,
    SanaVideoPipeline,
    SanaVideoTransformer3DModel,
)
from tiny.gemma import build_gemma_tokenizer, gemma_vocabulary
from tiny.sizes import HEAD_DIM, LATENT_CHANNELS, N_BLOCKS, N_HEADS, WIDTH
from tiny.wan import wan_vae
from transformers import Gemma2Config, Gemma2Model


def build() -> SanaVideoPipeline:
    return SanaVideoPipeline(
        scheduler=DPMSolverMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
        vae=wan_vae(),
        text_encoder=Gemma2Model(
            Gemma2Config(
                vocab_size=len(gemma_vocabulary()),
                hidden_size=WIDTH,
                intermediate_size=WIDTH,
                num_hidden_layers=1,
                num_attention_heads=N_HEADS,
                num_key_value_heads=1,
                head_dim=HEAD_DIM,
                query_pre_attn_scalar=HEAD_DIM,
                # The instructions that the pipeline puts before a prompt are long.
                max_position_embeddings=2048,
            )
        ),
        tokenizer=build_gemma_tokenizer(),
        transformer=SanaVideoTransformer3DModel(
            in_channels=LATENT_CHANNELS,
            out_channels=LATENT_CHANNELS,
            num_attention_heads=N_HEADS,
            attention_head_dim=HEAD_DIM,
            num_layers=N_BLOCKS,
            num_cross_attention_heads=N_HEADS,
            cross_attention_head_dim=HEAD_DIM,
            cross_attention_dim=WIDTH,
            caption_channels=WIDTH,
            mlp_ratio=2.0,
            rope_max_seq_len=32,
        ),
    )
