"""diffusers' FirstBlockCache: the first block is computed, and stands for how much has changed.

If the residual of the first block (output - input) differs from that of the last computed call by
no more than `threshold` (relative mean absolute difference), the other blocks are left out and
what they added then is added again. From ParaAttention (chengzeyi), which took the idea from
TeaCache, arXiv 2411.19108.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from diffusers import FirstBlockCacheConfig
from diffusers.hooks.first_block_cache import FBCHeadBlockHook
from pydantic import Field

from sol.clock import Clock
from sol.roles import Capability, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.skills.cache.libraries.diffusers_backend import Plan, install_diffusers_cache
from sol.skills.cache.libraries.step_gate import StepGate
from sol.space import Float, Int, Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique

# Differences are never negative: below it, every call is computed and its residuals are kept.
_ALWAYS_COMPUTE = -1.0


@dataclass(frozen=True)
class DiffusersFirstBlockConfig:
    """Settings.

    Attributes:
        threshold: The library's; 0 leaves nothing out.
        warmup: First steps that are always computed. Ours: the library has none, and reuses from
            the second call on.
    """

    __pydantic_config__ = STRICT

    threshold: Annotated[float, Field(ge=0.0, le=10.0)] = 0.05
    warmup: Annotated[int, Field(ge=1)] = 3


def install(
    roles: Roles, config: DiffusersFirstBlockConfig, schedule: Schedule, clock: Clock
) -> Installed:
    """Enables the cache on every denoiser, and closes it in the warm-up and outside the schedule.

    Raises:
        ConflictError: A denoiser already has one of diffusers' caches.
    """

    def make_plan(denoiser: DenoiserRoles) -> Plan:
        gate = StepGate(clock, schedule, config.warmup)

        def steer(hooks: Sequence[Any]) -> None:
            is_open = config.threshold > 0 and gate.is_open()
            for hook in hooks:
                hook.threshold = config.threshold if is_open else _ALWAYS_COMPUTE

        library_config = FirstBlockCacheConfig(threshold=config.threshold)
        return Plan(library_config, FBCHeadBlockHook, denoiser.blocks, gate, steer)

    return install_diffusers_cache(roles, clock, DIFFUSERS_FIRST_BLOCK.name, "blocks", make_plan)


def space(context: SpaceContext) -> Space:
    """Thresholds around the library's default; 0.08 and 0.12 are ParaAttention's for FLUX."""
    latest_warmup = max(1, context.workload.steps // 3)
    warmup = min(4, latest_warmup)
    return Space(
        knobs={
            "threshold": Float(0.01, 0.5, log=True, bolder="up"),
            "warmup": Int(1, latest_warmup, bolder="down"),
        },
        first=tuple({"threshold": value, "warmup": warmup} for value in (0.05, 0.08, 0.12)),
    )


DIFFUSERS_FIRST_BLOCK = Technique(
    name="diffusers_first_block",
    skill="cache",
    summary="leave out the blocks after the first while its residual changes little (diffusers)",
    exactness="lossy",
    requires=frozenset({Capability.DIFFUSERS_CACHE}),
    # Its state has the shape of whole batches.
    reads=frozenset({Seam.GUIDANCE_BRANCH, Seam.TOKEN_SET}),
    # It decides what is left of a step, and its hooks stand inside each block's compiled code.
    writes=frozenset({Seam.STEP_OUTPUT, Seam.BLOCK_RESIDUAL, Seam.COMPILE_REGION}),
    phase=Phase.BLOCKS,
    config=DiffusersFirstBlockConfig,
    install=install,
    space=space,
    protects={"warmup": "first"},
    identity={"threshold": 0.0},
    schedulable=frozenset({"steps"}),
    saves=lambda diagnosis: diagnosis.beyond_first_block_s,
    source="diffusers FirstBlockCache; arXiv 2411.19108",
)
