"""diffusers' MagCache: skips by a table of how the residual's magnitude changes from step to step.

Ma et al., "MagCache: Fast Video Generation with Magnitude-Aware Cache", arXiv 2506.09045. With
gamma_t = mean(|r_t| / |r_{t-1}|) for the residual r of all blocks together, measured once a model,
a run of skipped steps accumulates err += |1 - prod(gamma)|; it ends above the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from diffusers import MagCacheConfig
from diffusers.hooks.mag_cache import MagCacheHeadHook
from pydantic import Field

from sol.clock import Clock
from sol.errors import ConfigError
from sol.roles import Capability, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.skills.cache.libraries.diffusers_backend import Plan, install_diffusers_cache
from sol.skills.cache.libraries.step_gate import StepGate
from sol.space import Float, Int, Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique

Ratio = Annotated[float, Field(gt=0.0)]

# Errors are never negative: below it, every call is computed and its residual is kept.
_ALWAYS_COMPUTE = -1.0


@dataclass(frozen=True)
class DiffusersMagConfig:
    """Settings, by the library's names.

    Attributes:
        mag_ratios: gamma of each step, the first being 1; read at other numbers of steps by the
            nearest one. There is no default: they belong to a model and its scheduler.
        threshold: Accumulated error up to which calls are skipped; 0 skips none.
        max_skip_steps: Longest run of skipped steps.
        retention_ratio: Share of the steps, from the first on, that are always computed.
    """

    __pydantic_config__ = STRICT

    mag_ratios: tuple[Ratio, ...] = ()
    threshold: Annotated[float, Field(ge=0.0, le=10.0)] = 0.06
    max_skip_steps: Annotated[int, Field(ge=1)] = 3
    retention_ratio: Annotated[float, Field(ge=0.0, le=1.0)] = 0.2


def install(
    roles: Roles, config: DiffusersMagConfig, schedule: Schedule, clock: Clock
) -> Installed:
    """Enables the cache on every denoiser. The clock, not the count of calls, is the step index.

    Raises:
        ConfigError: No mag_ratios.
        ConflictError: A denoiser already has one of diffusers' caches.
    """
    if not config.mag_ratios:
        raise ConfigError(
            "diffusers_mag needs mag_ratios, one a step: how the residual of the blocks grows "
            "from step to step on this model. There are no ratios that fit every model; leave "
            "the technique out where they have not been measured."
        )

    def make_plan(denoiser: DenoiserRoles) -> Plan:
        gate = StepGate(clock, schedule)
        library_config = _library_config(config, len(config.mag_ratios))

        # The library's hooks share this one object, and read it anew in every call.
        def steer(hooks: Sequence[Any]) -> None:
            if library_config.num_inference_steps != clock.n_steps:
                vars(library_config).update(vars(_library_config(config, clock.n_steps)))
            is_open = config.threshold > 0 and gate.is_open()
            library_config.threshold = config.threshold if is_open else _ALWAYS_COMPUTE
            for hook in hooks:
                hook.state_manager.get_state().step_index = clock.step

        return Plan(library_config, MagCacheHeadHook, denoiser.blocks, gate, steer)

    return install_diffusers_cache(roles, clock, DIFFUSERS_MAG.name, "blocks", make_plan)


def _library_config(config: DiffusersMagConfig, n_steps: int) -> Any:
    return MagCacheConfig(
        threshold=config.threshold,
        max_skip_steps=config.max_skip_steps,
        retention_ratio=config.retention_ratio,
        num_inference_steps=n_steps,
        mag_ratios=list(config.mag_ratios),
    )


def space(context: SpaceContext) -> Space:
    """The published range of thresholds; empty where the ratios have not been measured."""
    redundancy = context.diagnosis.redundancy
    ratios = redundancy.magnitude_ratio.get("both") if redundancy is not None else None
    if ratios is None or len(context.roles.denoisers) > 1:
        return Space()
    return Space(
        knobs={
            "threshold": Float(0.02, 0.24, log=True, bolder="up"),
            "max_skip_steps": Int(1, 6, bolder="up"),
            "retention_ratio": Float(0.1, 0.4, bolder="down"),
        },
        first=(
            {"threshold": 0.06, "max_skip_steps": 3, "retention_ratio": 0.2},
            {"threshold": 0.12, "max_skip_steps": 4, "retention_ratio": 0.2},
            {"threshold": 0.24, "max_skip_steps": 6, "retention_ratio": 0.2},
        ),
        fixed={"mag_ratios": list(ratios)},
    )


DIFFUSERS_MAG = Technique(
    name="diffusers_mag",
    skill="cache",
    summary="leave out all blocks by a measured table of the residual's magnitudes (diffusers)",
    exactness="lossy",
    requires=frozenset({Capability.DIFFUSERS_CACHE}),
    # Its state has the shape of whole batches.
    reads=frozenset({Seam.GUIDANCE_BRANCH, Seam.TOKEN_SET}),
    # It decides what is left of a step, and its hooks stand inside each block's compiled code.
    writes=frozenset({Seam.STEP_OUTPUT, Seam.BLOCK_RESIDUAL, Seam.COMPILE_REGION}),
    phase=Phase.BLOCKS,
    config=DiffusersMagConfig,
    install=install,
    space=space,
    identity={"threshold": 0.0},
    schedulable=frozenset({"steps"}),
    saves=lambda diagnosis: diagnosis.denoise_s,
    source="diffusers MagCache; arXiv 2506.09045",
)
