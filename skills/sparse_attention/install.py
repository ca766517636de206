"""Attaching a sparse attention to the self-attentions over the latent grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sol.attach import undo_all, undo_on_error, wrap_forward
from sol.attention_routing import route_attention
from sol.clock import Clock
from sol.errors import NoEffectError
from sol.roles import DenoiserRoles, Roles, TokenGrid
from sol.schedule import Schedule
from sol.skills.sparse_attention.block_choice import Pattern
from sol.skills.sparse_attention.settings import SparseSettings
from sol.skills.sparse_attention.sparse_site import Counts, SparseSite, Sparsity
from sol.technique import Evidence, Installed


@dataclass
class _PresentCall:
    """The grid of the call that a denoiser is in."""

    denoiser: DenoiserRoles
    grid: TokenGrid | None = None

    def around(
        self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        self.grid = self.denoiser.token_grid(args, kwargs)
        try:
            return forward(*args, **kwargs)
        finally:
            self.grid = None

    def read(self) -> TokenGrid | None:
        return self.grid


def install_sparse(
    roles: Roles,
    technique: str,
    settings: SparseSettings,
    pattern: Pattern,
    schedule: Schedule,
    clock: Clock,
) -> Installed:
    """Routes the self-attentions of the schedule's blocks.

    Raises:
        NoEffectError: The schedule names no block with one.
    """
    undos: list[Callable[[], None]] = []
    counts = Counts()
    sites: list[SparseSite] = []
    with undo_on_error(undos):
        for denoiser in roles.denoisers:
            call = _PresentCall(denoiser)
            sparsity = Sparsity(settings, pattern, schedule, clock, counts, call.read)
            attached = _attach(denoiser, sparsity, undos)
            if attached:
                undos.append(wrap_forward(denoiser.module, f"sol.{technique}", call.around))
            sites += attached
    if not sites:
        raise NoEffectError(
            f"{technique} found no attention in blocks {schedule.layers!r} beyond the first "
            f"{settings.dense_layers}: lower dense_layers, or schedule other blocks."
        )

    def evidence() -> Evidence:
        return Evidence(
            counts.blocks_left_out > 0,
            {
                "attentions_sparse": counts.sparse,
                "attentions_dense": counts.dense,
                "blocks": counts.blocks,
                "blocks_left_out": counts.blocks_left_out,
                "choices_of_blocks": counts.choices,
                "bytes_held": sum(site.bytes_held for site in sites),
            },
        )

    return Installed(lambda: undo_all(undos), evidence)


def _attach(
    denoiser: DenoiserRoles, sparsity: Sparsity, undos: list[Callable[[], None]]
) -> list[SparseSite]:
    """Routes the active self-attentions of a denoiser."""
    places = denoiser.grid_attention
    scheduled = sparsity.schedule.active_layers(len(places)) if places else frozenset()
    sites = []
    for layer in sorted(scheduled):
        if layer < sparsity.settings.dense_layers:
            continue
        sites.append(SparseSite(layer, sparsity))
        undos.append(sites[-1].forget)
        undos.append(sparsity.clock.on_video(sites[-1].forget))
        undos.append(route_attention(places[layer].module.processor, sites[-1].attend))
    return sites
