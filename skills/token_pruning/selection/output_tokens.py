"""What a denoiser returned, token by token."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from sol.roles import LatentGrid
from sol.skills.token_pruning.reduction.reducer import DenoiserCall
from sol.skills.token_pruning.selection.selection import mean_by_sample


def lay_out(tensor: Tensor, call: DenoiserCall, layout: LatentGrid | None) -> Tensor:
    """Latents or an output of the denoiser as (batch, channels, frames, height, width)."""
    return tensor if layout is None else layout.to_grid(tensor, call.args, call.kwargs)


def mean_by_token(values: Tensor, call: DenoiserCall) -> Tensor:
    """The mean over each token's patch and over the branches of guidance.

    Args:
        values: (batch, frames, height, width) of the latents.

    Returns:
        (samples, tokens of the grid), float32.
    """
    patches = F.adaptive_avg_pool3d(values.float()[:, None], call.grid.sizes)
    return mean_by_sample(patches.flatten(1), call.n_samples)
