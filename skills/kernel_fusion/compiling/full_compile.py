"""torch.compile of whole denoiser calls: what lies between and around the blocks is fused too.

It compiles what a denoiser computes itself, beneath all hooks around it, whenever they were
installed: a step cache that leaves a call out, or a counter, stays outside. What decides in Python
inside a call cannot stay: it would be traced, and compiled anew at every step. So a stack is
refused whose other members decide between blocks, or look at the arguments of what makes the
rotary tables and the modulation (`reads`).
"""

from __future__ import annotations

from sol.clock import Clock
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.kernel_fusion.compiling.compile_settings import CompileSettings, compile_space
from sol.skills.kernel_fusion.compiling.compiled_denoisers import compile_denoisers
from sol.technique import Installed, Phase, Seam, Technique


def install(roles: Roles, config: CompileSettings, schedule: Schedule, clock: Clock) -> Installed:
    """Compiles every denoiser, lazily: the first video pays for it.

    Raises:
        NotApplicableError: Triton kernels where there is no GPU.
    """
    backend = config.make_backend("full_compile", roles)
    return compile_denoisers(roles, backend, config.dynamic)


FULL_COMPILE = Technique(
    name="full_compile",
    skill="kernel_fusion",
    summary="torch.compile of whole denoiser calls",
    exactness="numerical",
    requires=frozenset({Capability.INDUCTOR}),
    reads=frozenset({Seam.BLOCK_RESIDUAL, Seam.ROTARY_TABLE, Seam.MODULATION, Seam.TOKEN_SET}),
    writes=frozenset({Seam.COMPILE_REGION}),
    phase=Phase.COMPILE,
    config=CompileSettings,
    install=install,
    space=compile_space,
)
