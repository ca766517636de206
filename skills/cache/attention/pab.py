"""Pyramid Attention Broadcast: attention outputs are reused for a few steps.

Zhao et al., "Real-Time Video Generation with Pyramid Attention Broadcast", arXiv 2408.12588. In
the middle of a run, what an attention returns changes little from step to step, and the less the
higher the level that it looks at: an attention is computed once in a window of steps and its
output, before the block's gate, is returned (broadcast) in the others. Cross-attention changes
least and bears the longest window. First and last steps are always computed.

Outputs are kept for each guidance branch and shape of the latents. The first call of each in a
video is computed and shows how large an output is: what would not fit into `max_mb` is never
kept, not even for the length of a call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn

from sol.attach import find_places, replace_child, undo_all, wrap_forward
from sol.clock import Clock
from sol.diagnosis import Diagnosis
from sol.errors import NoEffectError
from sol.roles import Capability, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.skills.cache.attention.broadcast_site import BroadcastSite
from sol.skills.cache.attention.output_store import OutputStore, size_of
from sol.skills.cache.memory import MEGABYTE
from sol.space import Int, Space
from sol.target import STRICT
from sol.technique import Evidence, Installed, Phase, Seam, SpaceContext, Technique

Kind = Literal["self", "cross"]

_LONGEST_WINDOW = 6
# The paper broadcasts between timesteps 800 and 100 of 1000.
_WARMUP_SHARE, _TAIL_SHARE = 0.2, 0.1


@dataclass(frozen=True)
class PABConfig:
    """Settings.

    Attributes:
        self_every: Self-attention is computed once in so many steps; 1 computes it always.
        cross_every: The same for cross-attention.
        warmup: First steps that are always computed.
        tail: Last steps that are always computed.
        max_mb: Memory for outputs; an attention whose output does not fit is computed.
    """

    __pydantic_config__ = STRICT

    self_every: Annotated[int, Field(ge=1)] = 2
    cross_every: Annotated[int, Field(ge=1)] = 6
    warmup: Annotated[int, Field(ge=2)] = 4
    tail: Annotated[int, Field(ge=0)] = 1
    max_mb: Annotated[int, Field(ge=0)] = 4096

    def window(self, kind: Kind) -> int:
        return self.self_every if kind == "self" else self.cross_every


@dataclass
class _Counts:
    computed: int = 0
    reused: int = 0
    refused: int = 0


@dataclass
class _Broadcast:
    """The attentions of one denoiser: decides before each call, collects after it.

    Attributes:
        sizes: Bytes of one output, by branch and form of the latents, in this video.
    """

    name: str
    sites: tuple[tuple[Kind, BroadcastSite], ...]
    config: PABConfig
    schedule: Schedule
    clock: Clock
    store: OutputStore
    counts: _Counts
    read_latents: Callable[[tuple[Any, ...], dict[str, Any]], torch.Tensor]
    sizes: dict[tuple[Any, ...], int] = field(default_factory=dict)

    def around(
        self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        latents = self.read_latents(args, kwargs)
        call = (self.name, self.clock.branch, tuple(latents.shape), latents.dtype)
        self.store.drop_before(self.clock.step)
        try:
            self._plan(call)
            result = forward(*args, **kwargs)
            self._collect(call)
        finally:
            for _, site in self.sites:
                site.release()
        return result

    def forget(self) -> None:
        self.sizes.clear()
        self.store.clear()

    def _plan(self, call: tuple[Any, ...]) -> None:
        """Sets each site to return an output, to keep what it computes, or just to compute."""
        if call not in self.sizes:
            self.sites[0][1].keep = True
            return
        planned = 0
        reusable = self._reusable_steps()
        for index, (kind, site) in enumerate(self.sites):
            site.output = self.store.find((call, index)) if self.clock.step in reusable else None
            site.reuse = site.output is not None
            if site.reuse or self._last_use(kind, reusable) is None:
                continue
            site.keep = self.store.has_room(planned + self.sizes[call])
            planned += self.sizes[call] if site.keep else 0
            self.counts.refused += not site.keep

    def _collect(self, call: tuple[Any, ...]) -> None:
        reusable = self._reusable_steps()
        n_reused = sum(site.reuse for _, site in self.sites)
        self.counts.reused += n_reused
        self.counts.computed += len(self.sites) - n_reused
        for index, (kind, site) in enumerate(self.sites):
            self.store.drop_used((call, index), self.clock.step)
            if not site.keep or site.output is None:
                continue
            last_use = self._last_use(kind, reusable)
            if call in self.sizes and last_use is not None:
                kept = self.store.keep((call, index), site.output, last_use)
                self.counts.refused += not kept
            self.sizes.setdefault(call, size_of(site.output))

    def _reusable_steps(self) -> frozenset[int]:
        n_steps = self.clock.n_steps
        inner = range(self.config.warmup, n_steps - self.config.tail)
        return self.schedule.active_steps(n_steps) & frozenset(inner)

    def _last_use(self, kind: Kind, reusable: frozenset[int]) -> int | None:
        """The last step that may return what is computed now, if any may."""
        now = self.clock.step
        end = now + self.config.window(kind)
        return max((step for step in reusable if now < step < end), default=None)


def install(roles: Roles, config: PABConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Stands in for the attentions of the active blocks, and wraps the denoisers to decide.

    Raises:
        NoEffectError: The schedule names no block with an attention.
    """
    undos: list[Callable[[], None]] = []
    store, counts = OutputStore(config.max_mb * MEGABYTE), _Counts()
    for denoiser in roles.denoisers:
        sites = _replace_sites(denoiser, schedule, undos)
        if sites:
            broadcast = _Broadcast(
                denoiser.name, sites, config, schedule, clock, store, counts, denoiser.form.read
            )
            undos.append(broadcast.forget)
            undos.append(clock.on_video(broadcast.forget))
            undos.append(wrap_forward(denoiser.module, "sol.pab", broadcast.around))
    if not undos:
        raise NoEffectError(f"pab found no attention in blocks {schedule.layers!r}.")

    def evidence() -> Evidence:
        return Evidence(
            counts.reused > 0,
            {
                "sites_computed": counts.computed,
                "sites_reused": counts.reused,
                "sites_refused": counts.refused,
                "bytes_held": store.peak,
            },
        )

    return Installed(lambda: undo_all(undos), evidence)


def _replace_sites(
    denoiser: DenoiserRoles, schedule: Schedule, undos: list[Callable[[], None]]
) -> tuple[tuple[Kind, BroadcastSite], ...]:
    kinds: dict[nn.Module, Kind] = dict.fromkeys(denoiser.self_attention, "self")
    kinds |= {site.module: "cross" for site in denoiser.cross_attention}
    sites: list[tuple[Kind, BroadcastSite]] = []
    for layer in sorted(schedule.active_layers(len(denoiser.blocks))):
        for parent, name, child in find_places(denoiser.blocks[layer], kinds):
            sites.append((kinds[child], BroadcastSite(child)))
            undos.append(replace_child(parent, name, sites[-1][1]))
    return tuple(sites)


def space(context: SpaceContext) -> Space:
    """Windows of up to 6 steps, as far as the run has so many between its first and last steps.

    First settings: the paper's share of steps with windows 2 and 6, a self-attention over space
    and time alike being as brittle as its spatial one; the same window for both; the pyramid.
    Without cross-attentions there is one window.
    """
    n_steps = context.workload.steps
    warmup = max(2, round(_WARMUP_SHARE * n_steps))
    tail = max(1, round(_TAIL_SHARE * n_steps))
    longest = min(_LONGEST_WINDOW, n_steps - warmup - tail)
    if longest <= 1:
        return Space()
    has_cross = any(denoiser.cross_attention for denoiser in context.roles.denoisers)
    names = ("self_every", "cross_every") if has_cross else ("self_every",)
    pyramids = dict.fromkeys(
        tuple(min(window, longest) for window in windows[: len(names)])
        for windows in ((2, 6), (3, 3), (4, 6))
    )
    return Space(
        knobs={
            **{name: Int(1, longest, bolder="up") for name in names},
            "warmup": Int(2, max(2, n_steps // 3), bolder="down"),
            "tail": Int(1, max(1, n_steps // 4), bolder="down"),
        },
        first=tuple(
            {**dict(zip(names, windows, strict=True)), "warmup": warmup, "tail": tail}
            for windows in pyramids
        ),
    )


def saves(diagnosis: Diagnosis) -> float:
    """All attention but one step in the longest window."""
    parts = ("self_attention", "cross_attention")
    attention_s = sum(diagnosis.part_s.get(part, 0.0) for part in parts)
    return attention_s * (1 - 1 / _LONGEST_WINDOW)


PAB = Technique(
    name="pab",
    skill="cache",
    summary="reuse attention outputs for a few steps (Pyramid Attention Broadcast)",
    exactness="lossy",
    requires=frozenset({Capability.SELF_ATTENTION}),
    reads=frozenset({Seam.TOKEN_SET}),
    writes=frozenset({Seam.ATTENTION_OUTPUT}),
    phase=Phase.MODULES,
    config=PABConfig,
    install=install,
    space=space,
    protects={"warmup": "first", "tail": "last"},
    identity={"self_every": 1, "cross_every": 1},
    schedulable=frozenset({"steps", "layers"}),
    saves=saves,
    source="arXiv 2408.12588",
)
