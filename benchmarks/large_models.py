"""Pipelines at real dimensions with random weights: as fast as real ones, as good as noise.

The denoiser has the published configuration; the text encoder is one layer of the right width and
the autoencoder is small, since neither is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers import (
    AutoencoderKLLTXVideo,
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    WanPipeline,
    WanTransformer3DModel,
)
from transformers import T5Config, T5EncoderModel, UMT5Config, UMT5EncoderModel

from sol.models.pocket.architecture import build_tokenizer
from sol.target import Workload

_TEXT_WIDTH = 4096
_STEPS = 4
"""Enough to time: every step costs the same."""


def build_ltx_2b() -> tuple[Any, Workload]:
    """LTX-Video 2B: 28 blocks of width 2048; 704 x 480, 161 frames."""
    config = {"vocab_size": 192, "d_model": _TEXT_WIDTH, "d_kv": 64, "d_ff": 256}
    pipeline = LTXPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=AutoencoderKLLTXVideo(),
        text_encoder=T5EncoderModel(T5Config(**config, num_layers=1, num_heads=4)),
        tokenizer=build_tokenizer(),
        transformer=_on_cuda(lambda: LTXVideoTransformer3DModel()),
    )
    return _to_bfloat16(pipeline), _workload(704, 480, 161, 3.0, 24, 128)


def build_wan_1_3b() -> tuple[Any, Workload]:
    """Wan 2.1 1.3B: 30 blocks of width 1536; 832 x 480, 81 frames."""
    config = {"vocab_size": 192, "d_model": _TEXT_WIDTH, "d_kv": 64, "d_ff": 256}
    denoiser = {"num_attention_heads": 12, "num_layers": 30, "ffn_dim": 8960}
    pipeline = WanPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=AutoencoderKLWan(),
        text_encoder=UMT5EncoderModel(UMT5Config(**config, num_layers=1, num_heads=4)),
        tokenizer=build_tokenizer(),
        transformer=_on_cuda(lambda: WanTransformer3DModel(**denoiser)),
    )
    return _to_bfloat16(pipeline), _workload(832, 480, 81, 5.0, 16, 512)


LARGE_MODELS: Mapping[str, Callable[[], tuple[Any, Workload]]] = {
    "LTX 2B": build_ltx_2b,
    "Wan 1.3B": build_wan_1_3b,
}


def _on_cuda(build: Callable[[], Any]) -> Any:
    """Random weights are drawn where they are used: minutes on a CPU, a second here."""
    with torch.device("cuda"):
        return build()


def _to_bfloat16(pipeline: Any) -> Any:
    """On the GPU, but for the layers that diffusers keeps in float32 when it loads a model."""
    pipeline.to("cuda", torch.bfloat16)
    kept = pipeline.transformer._keep_in_fp32_modules or []
    for name, module in pipeline.transformer.named_modules():
        if any(part in name.split(".") for part in kept):
            module.float()
    return pipeline


def _workload(
    width: int, height: int, num_frames: int, guidance: float, rate: int, tokens: int
) -> Workload:
    return Workload(
        height=height,
        width=width,
        num_frames=num_frames,
        steps=_STEPS,
        guidance_scale=guidance,
        frame_rate=rate,
        max_sequence_length=tokens,
        dtype="bfloat16",
    )
