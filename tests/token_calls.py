"""Denoiser calls without a pipeline around them, for what changes the tokens of a call."""

from __future__ import annotations

from typing import Any

import torch
from tiny.sizes import LATENT_CHANNELS, WIDTH
from torch import Tensor

from sol.clock import Clock
from sol.roles import Roles, TokenGrid
from sol.skills.token_pruning.reduction.reducer import DenoiserCall

GRID = TokenGrid(2, 4, 6)
"""48 tokens."""

N_TEXT = 5


def begin_video(roles: Roles, n_steps: int = 8) -> Clock:
    """A clock at the first step of a guided video whose noise levels fall evenly."""
    clock = Clock()
    sigmas = [1 - step / n_steps for step in range(n_steps)]
    clock.begin_video(n_steps, sigmas, is_guided=roles.guidance != "none")
    return clock


def call_denoiser(roles: Roles, n_batch: int, seed: int = 0, step: int = 3) -> Tensor:
    """What the first denoiser returns for `n_batch` random latents on `GRID`."""
    denoiser = roles.denoisers[0].module
    generator = torch.Generator().manual_seed(seed)
    text = torch.randn(n_batch, N_TEXT, WIDTH, generator=generator)
    timestep = torch.full((n_batch,), 1000.0 - 100 * step)
    with torch.no_grad():
        if roles.family == "ltx":
            tokens = torch.randn(n_batch, GRID.n_tokens, LATENT_CHANNELS, generator=generator)
            return denoiser(**_ltx_call(tokens, text, timestep))[0]
        frames, height, width = GRID.sizes
        # Wan cuts patches of two by two.
        latents = torch.randn(
            n_batch, LATENT_CHANNELS, frames, 2 * height, 2 * width, generator=generator
        )
        return denoiser(latents, timestep, text, return_dict=False)[0]


def _ltx_call(tokens: Tensor, text: Tensor, timestep: Tensor) -> dict[str, Any]:
    return {
        "hidden_states": tokens,
        "encoder_hidden_states": text,
        "timestep": timestep,
        "encoder_attention_mask": torch.ones(len(text), N_TEXT),
        "num_frames": GRID.frames,
        "height": GRID.height,
        "width": GRID.width,
        "rope_interpolation_scale": (0.25, 8, 8),
        "return_dict": False,
    }


def a_call(
    latents: Tensor | None = None,
    grid: TokenGrid = GRID,
    n_samples: int = 1,
    branch: str = "cond",
) -> DenoiserCall:
    """A call as a selection sees it."""
    given = torch.zeros(n_samples, LATENT_CHANNELS, *grid.sizes) if latents is None else latents
    return DenoiserCall(branch, given, grid, n_samples, (), {})
