"""Pipelines of every family as small as they get: stock classes, random weights from a seed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from diffusers import (
    AutoencoderKLLTXVideo,
    AutoencoderKLWan,
    DPMSolverMultistepScheduler,
    LTXImageToVideoPipeline,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    SanaVideoPipeline,
    SanaVideoTransformer3DModel,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import (
    Gemma2Config,
    Gemma2Model,
    GemmaTokenizer,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

from sol.models.pocket.architecture import build_scheduler, build_tokenizer
from sol.models.pocket.data.captions import VOCABULARY
from sol.target import Workload

WIDTH = 32
N_HEADS = 2
HEAD_DIM = 16
N_BLOCKS = 4
LATENT_CHANNELS = 4

_N_TEXT_TOKENS = 16
_TOKENIZER_SIZE = 192
_SEED = 0
_WORD_START = "\u2581"


def build_tiny(family: str, seed: int = _SEED) -> Any:
    """A pipeline of `family` with four blocks of width 32; equal seeds give equal weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipeline = _BUILDERS[family]()
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def build_tiny_experts() -> Any:
    """A Wan pipeline of two experts, which changes from one to the other half-way."""
    with torch.random.fork_rng():
        torch.manual_seed(_SEED)
        parts = dict(_wan_parts(), transformer_2=_wan_transformer())
        pipeline = WanPipeline(**parts, boundary_ratio=0.8)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def build_tiny_from_image() -> Any:
    """The tiny LTX pipeline's parts in one that goes on from an image."""
    pipeline = LTXImageToVideoPipeline(**build_tiny("ltx").components)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tiny_workload(family: str) -> Workload:
    """Eight guided steps of a clip of 48 tokens."""
    return Workload(
        height=32,
        width=32,
        num_frames={"ltx": 9, "wan": 5, "sana_video": 5}[family],
        steps=8,
        guidance_scale=3.0,
        frame_rate=16,
        max_sequence_length=_N_TEXT_TOKENS,
    )


def _build_ltx() -> LTXPipeline:
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
        text_encoder=T5EncoderModel(T5Config(**_T5_SIZES)),
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


def _build_wan() -> WanPipeline:
    return WanPipeline(**_wan_parts())


def _wan_parts() -> dict[str, Any]:
    return {
        "scheduler": UniPCMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
        "vae": _wan_vae(),
        "text_encoder": UMT5EncoderModel(UMT5Config(**_T5_SIZES)),
        "tokenizer": build_tokenizer(),
        "transformer": _wan_transformer(),
    }


def _wan_transformer() -> WanTransformer3DModel:
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


def _wan_vae() -> AutoencoderKLWan:
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


def _build_sana_video() -> SanaVideoPipeline:
    return SanaVideoPipeline(
        scheduler=DPMSolverMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
        ),
        vae=_wan_vae(),
        text_encoder=Gemma2Model(
            Gemma2Config(
                vocab_size=len(_gemma_vocabulary()),
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


def build_gemma_tokenizer() -> GemmaTokenizer:
    """A Gemma tokenizer that spells its words out of their beginnings, one letter at a time."""
    merges = [
        (word[:end], word[end])
        for word in sorted(_WORD_START + word for word in VOCABULARY)
        for end in range(1, len(word))
    ]
    return GemmaTokenizer(vocab=_gemma_vocabulary(), merges=list(dict.fromkeys(merges)))


def _gemma_vocabulary() -> dict[str, int]:
    words = [_WORD_START + word for word in VOCABULARY]
    beginnings = {word[:end] for word in words for end in range(1, len(word) + 1)}
    letters = {letter for word in words for letter in word}
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *sorted(beginnings | letters)]
    return {piece: row for row, piece in enumerate(pieces)}


_T5_SIZES: dict[str, Any] = {
    "vocab_size": _TOKENIZER_SIZE,
    "d_model": WIDTH,
    "d_kv": HEAD_DIM,
    "d_ff": WIDTH,
    "num_layers": 2,
    "num_heads": N_HEADS,
    "dropout_rate": 0.0,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}

_BUILDERS: dict[str, Callable[[], Any]] = {
    "ltx": _build_ltx,
    "wan": _build_wan,
    "sana_video": _build_sana_video,
}

FAMILIES = tuple(_BUILDERS)
