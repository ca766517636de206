"""The kernel that computes attention: diffusers' dispatch with another back-end.

The setting of each attention's own processor, never the registry's active back-end, which every
other pipeline of the process would follow (`set_attention_backend` changes it, and
`reset_attention_backend` does not change it back). Attentions that do not go through the dispatch,
linear ones above all, are not touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from diffusers.models.attention_dispatch import AttentionBackendName

from sol.attach import set_attribute, undo_all
from sol.clock import Clock
from sol.diagnosis import Diagnosis
from sol.errors import NoEffectError, NotApplicableError
from sol.models.attention_backends import BACKENDS, find_backend_obstacle
from sol.roles import AttentionKind, AttentionSite, Capability, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.skills.kernel_fusion.denoiser_calls import count_denoiser_calls
from sol.space import Choice, Space
from sol.target import STRICT
from sol.technique import Evidence, Installed, Phase, Seam, SpaceContext, Technique

Backend = Literal[
    "_native_cudnn", "_native_flash", "_native_efficient", "flash", "_flash_3", "xformers"
]
Sites = Literal["self", "cross", "all"]


@dataclass(frozen=True)
class AttentionBackendConfig:
    """Settings.

    Attributes:
        backend: By its name in diffusers.
        sites: Which attentions; a back-end that knows no masks fits those without.
    """

    __pydantic_config__ = STRICT

    backend: Backend
    sites: Sites = "self"


def install(
    roles: Roles, config: AttentionBackendConfig, schedule: Schedule, clock: Clock
) -> Installed:
    """Sets the back-end of the chosen attentions.

    Evidence is what the processors say when it is asked for, and that the denoiser ran: the
    choice itself is made inside of compiled code, where nothing can be counted.

    Raises:
        NotApplicableError: The back-end cannot compute one of them here, with the reason.
        NoEffectError: No attention of this kind goes through the dispatch.
    """
    chosen = [(d, site) for d in roles.denoisers for site in _chosen(d, config.sites)]
    if not chosen:
        raise NoEffectError(
            f"attention_backend found no attention for sites={config.sites!r} that goes through "
            "diffusers' dispatch: nothing was changed."
        )
    for denoiser, site in chosen:
        obstacle = _find_obstacle(config.backend, denoiser, site)
        if obstacle:
            raise NotApplicableError(f"attention_backend does not apply: {obstacle}.")
    backend = AttentionBackendName(config.backend)
    processors = [site.module.processor for _, site in chosen]
    undos = [set_attribute(p, "_attention_backend", backend) for p in processors]
    calls = count_denoiser_calls(roles.denoisers, "attention_backend", undos)

    def evidence() -> Evidence:
        n_set = sum(processor._attention_backend is backend for processor in processors)
        counts = {"attentions_set": n_set, "denoiser_calls": calls.n}
        return Evidence(n_set == len(processors) and calls.n > 0, counts)

    return Installed(lambda: undo_all(undos), evidence)


def _chosen(denoiser: DenoiserRoles, sites: Sites) -> list[AttentionSite]:
    return [site for site in denoiser.attention_sites if sites in (site.kind, "all")]


def _find_obstacle(backend: str, denoiser: DenoiserRoles, site: AttentionSite) -> str | None:
    module: Any = denoiser.module
    return find_backend_obstacle(
        backend, module.device.type, module.dtype, site.head_dim, is_masked=site.is_masked
    )


def space(context: SpaceContext) -> Space:
    """The back-ends that work here, each at all the attentions that it can compute."""
    sites = {name: _working_sites(name, context.roles) for name in BACKENDS}
    working = {name: where for name, where in sites.items() if where is not None}
    if not working:
        return Space()
    return Space(
        knobs={"backend": Choice(tuple(working))},
        first=tuple({"backend": name} for name in working),
        follows={"backend": {name: {"sites": where} for name, where in working.items()}},
    )


def _working_sites(backend: str, roles: Roles) -> Sites | None:
    kinds: dict[AttentionKind, bool] = {}
    for denoiser in roles.denoisers:
        for site in denoiser.attention_sites:
            works = _find_obstacle(backend, denoiser, site) is None
            kinds[site.kind] = kinds.get(site.kind, True) and works
    if len(kinds) > 1 and all(kinds.values()):
        return "all"
    by_kind: tuple[Literal["self", "cross"], ...] = ("self", "cross")
    return next((kind for kind in by_kind if kinds.get(kind)), None)


def saves(diagnosis: Diagnosis) -> float:
    """All that is spent in attentions, their linear layers with them."""
    parts = ("self_attention", "cross_attention")
    return sum(diagnosis.part_s.get(part, 0.0) for part in parts)


ATTENTION_BACKEND = Technique(
    name="attention_backend",
    skill="kernel_fusion",
    summary="another attention kernel of diffusers' dispatch (cuDNN, flash, xformers)",
    exactness="numerical",
    requires=frozenset({Capability.ATTENTION_BACKENDS}),
    writes=frozenset({Seam.ATTENTION_BACKEND}),
    phase=Phase.MODULES,
    config=AttentionBackendConfig,
    install=install,
    space=space,
    saves=saves,
)
