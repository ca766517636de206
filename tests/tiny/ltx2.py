"""Tiny LTX-2 pipelines: video and sound, as of 2.0 and as of 2.3."""

from __future__ import annotations

from typing import Any

from diffusers import (
    AutoencoderKLLTX2Audio,
    AutoencoderKLLTX2Video,
    FlowMatchEulerDiscreteScheduler,
    LTX2Pipeline,
    LTX2VideoTransformer3DModel,
)
from diffusers.pipelines.ltx2 import LTX2TextConnectors, LTX2Vocoder
from tiny.gemma import build_gemma_tokenizer, gemma_vocabulary
from tiny.sizes import HEAD_DIM, LATENT_CHANNELS, N_BLOCKS, N_HEADS, WIDTH
from transformers import Gemma3Config, Gemma3ForConditionalGeneration

_N_TEXT_LAYERS = 2
_N_REGISTERS = 8

_SOUND_HEAD_DIM = 8
_SOUND_WIDTH = N_HEADS * _SOUND_HEAD_DIM
_SOUND_CHANNELS = 2
_MEL_BINS = 8
# The autoencoder makes one of four bins; a token has the bins of all channels.
_SOUND_TOKEN = _SOUND_CHANNELS * _MEL_BINS // 4


def build() -> LTX2Pipeline:
    """As of LTX-2.0: the text is projected in the denoiser."""
    return LTX2Pipeline(
        **_parts(),
        connectors=_connectors(audio_connector_attention_head_dim=HEAD_DIM),
        transformer=_transformer(),
    )


def build_2_3(**of_version: Any) -> LTX2Pipeline:
    """As of LTX-2.3: gates, text that is modulated by the timestep, perturbed attention."""
    return LTX2Pipeline(
        **_parts(),
        connectors=_connectors(
            audio_connector_attention_head_dim=_SOUND_HEAD_DIM,
            video_gated_attn=True,
            audio_gated_attn=True,
            per_modality_projections=True,
            video_hidden_dim=WIDTH,
            audio_hidden_dim=_SOUND_WIDTH,
            proj_bias=True,
        ),
        transformer=_transformer(
            gated_attn=True,
            cross_attn_mod=True,
            audio_gated_attn=True,
            audio_cross_attn_mod=True,
            use_prompt_embeddings=False,
            perturbed_attn=True,
            **of_version,
        ),
    )


def _parts() -> dict[str, Any]:
    return {
        "scheduler": FlowMatchEulerDiscreteScheduler(
            use_dynamic_shifting=True, base_shift=0.95, max_shift=2.05, shift_terminal=0.1
        ),
        "vae": _video_vae(),
        "audio_vae": AutoencoderKLLTX2Audio(
            base_channels=_SOUND_TOKEN,
            ch_mult=(1, 1, 1),
            num_res_blocks=1,
            resolution=32,
            latent_channels=_SOUND_CHANNELS,
            mel_bins=_MEL_BINS,
        ),
        "text_encoder": _text_encoder(),
        "tokenizer": build_gemma_tokenizer(),
        "vocoder": LTX2Vocoder(
            in_channels=2 * _MEL_BINS,
            hidden_channels=8,
            upsample_kernel_sizes=[4, 4],
            upsample_factors=[2, 2],
            resnet_kernel_sizes=[3],
            resnet_dilations=[[1, 3]],
        ),
    }


def _video_vae() -> AutoencoderKLLTX2Video:
    """Two halvings of space and time instead of three, and patches of 2 x 2."""
    return AutoencoderKLLTX2Video(
        latent_channels=LATENT_CHANNELS,
        patch_size=2,
        block_out_channels=(8, 8),
        down_block_types=("LTX2VideoDownBlock3D", "LTX2VideoDownBlock3D"),
        layers_per_block=(0, 1, 1),
        spatio_temporal_scaling=(True, True),
        downsample_type=("spatiotemporal", "spatiotemporal"),
        decoder_block_out_channels=(8, 8),
        decoder_layers_per_block=(0, 1, 1),
        decoder_spatio_temporal_scaling=(True, True),
        decoder_inject_noise=(False, False, False),
        upsample_type=("spatiotemporal", "spatiotemporal"),
        upsample_residual=(True, True),
        upsample_factor=(1, 1),
    )


def _text_encoder() -> Gemma3ForConditionalGeneration:
    return Gemma3ForConditionalGeneration(
        Gemma3Config(
            text_config={
                "vocab_size": len(gemma_vocabulary()),
                "hidden_size": WIDTH,
                "intermediate_size": WIDTH,
                "num_hidden_layers": _N_TEXT_LAYERS,
                "num_attention_heads": N_HEADS,
                "num_key_value_heads": 1,
                "head_dim": HEAD_DIM,
                "query_pre_attn_scalar": HEAD_DIM,
                "sliding_window": 16,
                "max_position_embeddings": 64,
            },
            vision_config={
                "hidden_size": 8,
                "intermediate_size": 8,
                "num_hidden_layers": 1,
                "num_attention_heads": 1,
                "image_size": 8,
                "patch_size": 4,
            },
            mm_tokens_per_image=4,
        )
    )


def _connectors(**of_version: Any) -> LTX2TextConnectors:
    return LTX2TextConnectors(
        caption_channels=WIDTH,
        # The embeddings and what each layer makes of them.
        text_proj_in_factor=_N_TEXT_LAYERS + 1,
        video_connector_num_attention_heads=N_HEADS,
        video_connector_attention_head_dim=HEAD_DIM,
        video_connector_num_layers=1,
        video_connector_num_learnable_registers=_N_REGISTERS,
        audio_connector_num_attention_heads=N_HEADS,
        audio_connector_num_layers=1,
        audio_connector_num_learnable_registers=_N_REGISTERS,
        rope_type="split",
        **of_version,
    )


def _transformer(**of_version: Any) -> LTX2VideoTransformer3DModel:
    return LTX2VideoTransformer3DModel(
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        num_attention_heads=N_HEADS,
        attention_head_dim=HEAD_DIM,
        cross_attention_dim=WIDTH,
        vae_scale_factors=(4, 8, 8),
        audio_in_channels=_SOUND_TOKEN,
        audio_out_channels=_SOUND_TOKEN,
        audio_num_attention_heads=N_HEADS,
        audio_attention_head_dim=_SOUND_HEAD_DIM,
        audio_cross_attention_dim=_SOUND_WIDTH,
        num_layers=N_BLOCKS,
        caption_channels=WIDTH,
        rope_type="split",
        **of_version,
    )
