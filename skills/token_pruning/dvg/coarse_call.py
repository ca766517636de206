"""A denoiser's call on a coarser grid, its latents and its answer on the full one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sol.call_form import replace_first
from sol.errors import NotApplicableError
from sol.forward_arguments import argument_reader, replace_arguments
from sol.roles import Call, DenoiserRoles
from sol.skills.token_pruning.dvg.coarse_video import CoarseVideo
from sol.skills.token_pruning.dvg.resampling import Resampling, Sizes, smooth
from sol.skills.token_pruning.dvg.stages import sizes_of


def coarse_latents(x: Tensor, noise: Tensor, sigma: float, grids: Resampling) -> Tensor:
    """y = P (x - sigma n) + sigma W n."""
    return grids.pool(x - sigma * noise) + sigma * grids.whiten(noise)


def full_velocity(x: Tensor, x0: Tensor, sigma: float) -> Tensor:
    """The velocity at x that leads to x0: x0 = x - sigma v."""
    return (x - x0) / sigma


@dataclass(frozen=True)
class CoarseCall:
    """One denoiser, and the video that it works on."""

    denoiser: DenoiserRoles
    video: CoarseVideo

    def around(
        self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """Runs the call on the grid of its step."""
        stage = self.video.stage
        if stage is None:
            return forward(*args, **kwargs)
        latents = self._read_latents((args, kwargs))
        full = self.denoiser.token_grid(args, kwargs).sizes
        self.video.see(latents, full)
        coarse = sizes_of(stage, full)
        if coarse == full:
            return forward(*args, **kwargs)
        self.video.count(math.prod(full) - math.prod(coarse))
        return self._run(forward, (args, kwargs), latents, _between(latents, full, coarse))

    def _run(
        self, forward: Callable[..., Any], call: Call, latents: Tensor, grids: Resampling
    ) -> Any:
        x = latents.float()
        sigma, noise = self.video.get_noise(len(x))
        y = coarse_latents(x, noise, sigma, grids)
        args, kwargs = self._resize(call, y.to(latents.dtype), grids.coarse)
        result = forward(*args, **kwargs)
        velocity = self._to_grid(result[0], (args, kwargs)).float()
        _check_velocity(velocity, y)
        x0 = y - sigma * velocity
        self.video.observe(x0)
        full_x0 = smooth(grids.spread(x0), self.video.config.smoothing)
        answer = self._from_grid(full_velocity(x, full_x0, sigma).to(result[0].dtype))
        return replace_first(result, answer)

    def _read_latents(self, call: Call) -> Tensor:
        # What it would answer if it changed nothing begins with them, whatever is beside them.
        return self._to_grid(self.denoiser.form.pass_through(*call)[0], call)

    def _resize(self, call: Call, latents: Tensor, sizes: Sizes) -> Call:
        assert self.denoiser.resize_call is not None, "Capability.COARSE_GRID promises it"
        args, kwargs = self.denoiser.resize_call(call, sizes)
        name, module = self.denoiser.latents, self.denoiser.module
        coarse = self._from_grid(latents)
        given = argument_reader(module, name)(args, kwargs)
        if given.shape[1] > coarse.shape[1] and self.denoiser.grid is None:
            # Channels beside the latents' own, which the call already has on this grid.
            coarse = torch.cat([coarse, given[:, coarse.shape[1] :]], dim=1)
        return replace_arguments(module, args, kwargs, {name: coarse})

    def _to_grid(self, tensor: Tensor, call: Call) -> Tensor:
        grid = self.denoiser.grid
        return tensor if grid is None else grid.to_grid(tensor, *call)

    def _from_grid(self, tensor: Tensor) -> Tensor:
        grid = self.denoiser.grid
        return tensor if grid is None else grid.from_grid(tensor)


def _between(latents: Tensor, full: Sizes, coarse: Sizes) -> Resampling:
    """Between the grids of latents: a token may be a patch of several of their cells."""
    frames, height, width = latents.shape[2:]
    per_token = (frames // full[0], height // full[1], width // full[2])
    sizes = (coarse[0] * per_token[0], coarse[1] * per_token[1], coarse[2] * per_token[2])
    return Resampling((frames, height, width), sizes)


def _check_velocity(velocity: Tensor, latents: Tensor) -> None:
    if velocity.shape != latents.shape:
        raise NotApplicableError(
            "dvg needs a denoiser that returns one velocity for each latent: this one returns "
            f"{tuple(velocity.shape)} for latents {tuple(latents.shape)}. Leave dvg out."
        )
