"""A denoiser of a few lines, called once for each guidance branch, whose every part is in sight.

Its latents do not depend on its outputs, so a run's outputs can be compared step by step with
those of another run, whatever a technique did to the steps before.
"""

from __future__ import annotations

import torch
from torch import nn

from sol.clock import Clock
from sol.roles import CrossAttention, DenoiserRoles, Roles, TokenGrid

GRID = (1, 4, 2, 6, 5)
N_STEPS = 8


class ToyAttention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.to_k = nn.Linear(width, width)

    def forward(self, x, *, states=None):
        return torch.tanh(self.to_k(x if states is None else states).mean(1, keepdim=True) + x)


class ToyBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attn1, self.attn2 = ToyAttention(width), ToyAttention(width)

    def forward(self, x, states, temb):
        x = x + self.attn1(x) * temb
        return x + self.attn2(x, states=states)


class ToyNorm(nn.Module):
    def forward(self, x, scale, *, offset):
        return (x - x.mean()) * scale + offset


class ToyDenoiser(nn.Module):
    """(batch, channels, frames, height, width) -> the same, wrapped in a tuple."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        width = GRID[1]
        self.project, self.norm = nn.Linear(width, width), ToyNorm()
        self.embed = nn.Sequential(nn.Linear(1, width))
        self.blocks = nn.ModuleList([ToyBlock(width), ToyBlock(width)])

    def forward(self, latents, text, timestep):
        states = self.norm(self.project(text), 2.0, offset=0.5)
        temb = self.embed(timestep[:, None])[:, None]
        x = latents.flatten(2).transpose(1, 2)
        for block in self.blocks:
            x = block(x, states, temb)
        return (x.transpose(1, 2).reshape(latents.shape),)


def toy_roles(denoiser: ToyDenoiser) -> Roles:
    blocks = tuple(denoiser.blocks)
    return Roles(
        family="toy",
        denoisers=(
            DenoiserRoles(
                name="toy",
                module=denoiser,
                latents="latents",
                text="text",
                blocks=blocks,
                cross_attention=tuple(CrossAttention(b.attn2, ()) for b in blocks),
                feed_forward=(),
                self_projections=(),
                self_output=(),
                cross_projections=(),
                hidden="x",
                self_attention=tuple(b.attn1 for b in blocks),
                modulated_input=None,
                timestep_embedding="temb",
                prompt_projection=(denoiser.project, denoiser.norm),
                rotary=None,
                modulation=(denoiser.embed,),
                token_grid=lambda args, kwargs: TokenGrid(*GRID[2:]),
            ),
        ),
        guidance="two_call",
        capabilities=frozenset(),
    )


def run_video(denoiser, clock: Clock, branches=("cond", "uncond"), seed=0, skip=()):
    """The outputs of each branch, one a step; the steps in `skip` call nothing."""
    generator = torch.Generator().manual_seed(seed)
    texts = {name: torch.randn(1, 3, GRID[1], generator=generator) for name in ("cond", "uncond")}
    latents = torch.randn(N_STEPS, *GRID, generator=generator)
    outputs: dict[str, list[torch.Tensor]] = {name: [] for name in branches}
    clock.begin_video(N_STEPS, is_guided=len(branches) > 1)
    for step in range(N_STEPS):
        timestep = torch.tensor([1.0 - step / N_STEPS])
        for name in branches if step not in skip else ():
            clock.branch = name
            with torch.no_grad():
                outputs[name].append(denoiser(latents[step], texts[name], timestep)[0].clone())
        clock.advance()
    return outputs


def are_equal(some: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    pairs = zip(some, others, strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def record_calls(module: nn.Module, clock: Clock) -> list[tuple[int, str]]:
    """(step, branch) of every call that really computes `module`."""
    calls: list[tuple[int, str]] = []
    module.register_forward_hook(lambda *_: calls.append((clock.step, clock.branch)))
    return calls
