"""Pipelines of every family as small as they get: stock classes, random weights from a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import LTXImageToVideoPipeline
from tiny import cogvideox, cosmos, cosmos3, hunyuan_video15, ltx, ltx2, sana_video, wan
from tiny.sizes import N_TEXT_TOKENS

from sol.target import Workload

_SEED = 0


@dataclass(frozen=True)
class TinyFamily:
    """How a family's tiny pipeline is built and called.

    Attributes:
        num_frames: Of its clip of 32 x 32 pixels, which is some dozens of tokens.
        branches: Guidance branches of a step's denoiser calls, in order.
        unguided: The same without guidance.
    """

    build: Callable[[], Any]
    num_frames: int
    branches: tuple[str, ...] = ("both",)
    unguided: tuple[str, ...] = ("both",)


TINY = {
    "ltx": TinyFamily(ltx.build, 9),
    "ltx2": TinyFamily(ltx2.build, 9),
    "wan": TinyFamily(wan.build, 5, ("cond", "uncond"), ("cond",)),
    "sana_video": TinyFamily(sana_video.build, 5),
    "cogvideox": TinyFamily(cogvideox.build, 9),
    "hunyuan_video15": TinyFamily(hunyuan_video15.build, 9, ("cond", "uncond"), ("cond",)),
    "cosmos": TinyFamily(cosmos.build, 5, ("cond", "uncond"), ("cond",)),
    "cosmos3": TinyFamily(cosmos3.build, 5, ("cond", "uncond"), ("cond",)),
}

FAMILIES = tuple(TINY)

VARIANTS = {
    "ltx2_3": TinyFamily(ltx2.build_2_3, 9, ("both", "stg", "modality")),
    "cogvideox_2b": TinyFamily(cogvideox.build_2b, 9),
    "cogvideox_1_5": TinyFamily(cogvideox.build_1_5, 9),
}
"""Versions of a family whose denoiser, scheduler or calls differ from its first."""

_BUILT = {**TINY, **VARIANTS}


def build_tiny(family: str, seed: int = _SEED) -> Any:
    """A pipeline of `family` with four blocks of width 32; equal seeds give equal weights."""
    return _seeded(_BUILT[family].build, seed)


def build_tiny_experts() -> Any:
    """A Wan pipeline of two experts, which changes from one to the other half-way."""
    return _seeded(wan.build_experts, _SEED)


def build_tiny_from_image() -> Any:
    """The tiny LTX pipeline's parts in one that goes on from an image."""
    pipeline = LTXImageToVideoPipeline(**build_tiny("ltx").components)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def tiny_workload(family: str) -> Workload:
    """Eight guided steps of a small clip."""
    return Workload(
        height=32,
        width=32,
        num_frames=_BUILT[family].num_frames,
        steps=8,
        guidance_scale=3.0,
        frame_rate=16,
        max_sequence_length=N_TEXT_TOKENS,
    )


def save_all(folder: Path) -> None:
    """One sub-folder a family, as `save_pretrained` writes it."""
    for family in FAMILIES:
        build_tiny(family).save_pretrained(folder / family)


def _seeded(build: Callable[[], Any], seed: int) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipeline = build()
    for part in pipeline.components.values():
        if isinstance(part, torch.nn.Module):
            part.eval()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
