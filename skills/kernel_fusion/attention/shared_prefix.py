"""What both branches of guidance have in common is computed once: the first self-attention.

The branches differ in their text, which enters a denoiser at its first cross-attention. What comes
before it, the first block's self-attention above all, is given the same latents and the same
timestep in both. With both branches in one batch it is computed for one half and repeated; with a
call for each, what the conditional one computed is returned to the unconditional one of the same
step. (The embedding of the patches, a thousandth of a step, is left as it is.)

That the branches are given the same is not assumed: in each video the first calls compute all, and
their arguments are compared bit by bit. Where they differ, nothing is shared in that video.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sol.attach import find_place, replace_child, undo_all, undo_on_error, wrap_forward
from sol.clock import Clock
from sol.diagnosis import Diagnosis
from sol.errors import NoEffectError
from sol.roles import Capability, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.skills.kernel_fusion.attention.shared_prefix_site import SeenCall, SharedPrefixSite
from sol.space import Space
from sol.target import STRICT
from sol.technique import Evidence, Installed, Phase, Seam, SpaceContext, Technique


@dataclass(frozen=True)
class SharedPrefixConfig:
    """No settings: more sharing is always faster."""

    __pydantic_config__ = STRICT


@dataclass
class _Counts:
    shared: int = 0
    compared: int = 0
    videos_that_differ: int = 0


@dataclass
class _Prefix:
    """What both kinds of guidance have in common.

    Attributes:
        is_same: Whether both branches are given the same; None while this video has not shown it.
    """

    site: SharedPrefixSite
    clock: Clock
    counts: _Counts
    is_same: bool | None = None

    def run(self, call: Callable[[], Any]) -> tuple[Any, SeenCall | None]:
        """The denoiser's result, and what the site saw if it was to watch."""
        is_sharing = self.site.halve or self.site.reuse is not None
        try:
            result = call()
            self.counts.shared += is_sharing and self.site.was_called
            self.counts.compared += self.site.watch and self.site.was_called
        finally:
            seen = self.site.release()
        return result, seen

    def decide(self, is_same: bool) -> None:
        self.is_same = is_same
        self.counts.videos_that_differ += not is_same


@dataclass
class _Batched(_Prefix):
    """Both branches in one call."""

    def around(
        self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        is_both = self.clock.has_both_branches
        self.site.watch = is_both and self.is_same is None
        self.site.halve = is_both and self.is_same is True
        result, seen = self.run(lambda: forward(*args, **kwargs))
        if seen is not None:
            self.decide(seen.has_equal_halves())
        return result

    def forget(self) -> None:
        self.is_same = None


@dataclass
class _TwoCall(_Prefix):
    """The conditional call of a step, then the unconditional one."""

    cond: SeenCall | None = None
    cond_step: int = -1

    def around(
        self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        is_cond = self.clock.branch == "cond"
        cond = None if is_cond or self.cond_step != self.clock.step else self.cond
        self.cond = None
        if self.clock.is_guided and self.is_same is not False:
            self.site.watch = is_cond or (cond is not None and self.is_same is None)
            self.site.reuse = cond.output if cond is not None and self.is_same else None
        result, seen = self.run(lambda: forward(*args, **kwargs))
        if is_cond:
            self.cond, self.cond_step = seen, self.clock.step
        elif seen is not None and cond is not None:
            self.decide(seen.was_given_the_same(cond))
        return result

    def forget(self) -> None:
        self.is_same, self.cond = None, None


def install(
    roles: Roles, config: SharedPrefixConfig, schedule: Schedule, clock: Clock
) -> Installed:
    """Stands in for the first self-attention of each denoiser; experts do not share state.

    Raises:
        NoEffectError: No denoiser has a self-attention, or there is no guidance.
    """
    denoisers = [denoiser for denoiser in roles.denoisers if denoiser.self_attention]
    if not denoisers or roles.guidance == "none":
        raise NoEffectError("shared_prefix found no guidance with a self-attention to share.")
    undos: list[Callable[[], None]] = []
    counts = _Counts()
    with undo_on_error(undos):
        for denoiser in denoisers:
            _attach(denoiser, roles, clock, counts, undos)

    def evidence() -> Evidence:
        return Evidence(
            counts.shared > 0,
            {
                "attentions_shared": counts.shared,
                "attentions_compared": counts.compared,
                "videos_that_differ": counts.videos_that_differ,
            },
        )

    return Installed(lambda: undo_all(undos), evidence)


def _attach(
    denoiser: DenoiserRoles,
    roles: Roles,
    clock: Clock,
    counts: _Counts,
    undos: list[Callable[[], None]],
) -> None:
    attention = denoiser.self_attention[0]
    site = SharedPrefixSite(attention)
    parent, name = find_place(denoiser.module, attention)
    make = _TwoCall if roles.guidance == "two_call" else _Batched
    prefix = make(site, clock, counts)
    undos.append(replace_child(parent, name, site))
    undos.append(prefix.forget)
    undos.append(clock.on_video(prefix.forget))
    undos.append(wrap_forward(denoiser.module, "sol.shared_prefix", prefix.around))


def space(context: SpaceContext) -> Space:
    """One setting: on, where there is guidance."""
    return Space(first=({},)) if context.workload.guidance_scale > 1 else Space()


def saves(diagnosis: Diagnosis) -> float:
    """Half of the first block's self-attention; of all, where the blocks were not counted."""
    n_blocks = len(diagnosis.redundancy.block_change) if diagnosis.redundancy else 0
    return diagnosis.part_s.get("self_attention", 0.0) / 2 / max(1, n_blocks)


SHARED_PREFIX = Technique(
    name="shared_prefix",
    skill="kernel_fusion",
    summary="compute the first self-attention once for both guidance branches",
    exactness="numerical",
    requires=frozenset({Capability.GUIDANCE_BRANCHES, Capability.TEXT_FREE_ATTENTION}),
    reads=frozenset({Seam.TOKEN_SET}),
    writes=frozenset({Seam.ATTENTION_OUTPUT}),
    phase=Phase.MODULES,
    config=SharedPrefixConfig,
    install=install,
    space=space,
    saves=saves,
)
