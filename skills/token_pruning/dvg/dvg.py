"""DVG: the first steps, in which a video takes shape, run on a coarser grid.

"DVG", arXiv 2605.21042. In flow matching, latents are x = (1 - sigma) a + sigma n with n the noise
that the video began with, so that (1 - sigma) a = x - sigma n is known at every step. A coarse
step computes, with the maps P, U and W of `sol.skills.token_pruning.dvg.resampling`,

    y  = P (x - sigma n) + sigma W n     the latents on the coarse grid
    x0 = y - sigma v(y)                  the clean latents that the denoiser predicts there
    v' = (x - U x0) / sigma              the answer: the velocity that leads to U x0

The latents that the pipeline carries keep their full grid and the full grid's own noise. A stage
ends by itself, there is nothing to transform; multistep schedulers go on with their history, whose
every entry is a U x0; and whoever looks at the latents between steps finds what they expect.

Published is another transition: x0 of the stage's last step alone is brought to the next grid and
noised again, the latents of the stage are dropped. On the pocket model at 1,296 tokens, with 4 of
24 steps on half the rows and columns, that is 3.3 dB further from the baseline (29.6 against
32.9 dB, 3 prompts, no smoothing). Published too is a shift of the noise levels in each stage. It
is left out: running the coarse grid at the level at which it has the signal-to-noise ratio of the
full grid's low frequencies lost 2.8 dB there (27.8 against 30.6 dB, with cosine transforms for
the maps).

A sampler that adds fresh noise in each step does not fit: n must be the noise in the latents.
"""

from __future__ import annotations

from collections.abc import Callable

from sol.attach import undo_all, wrap_forward
from sol.clock import Clock
from sol.diagnosis import Diagnosis
from sol.roles import Capability, Roles
from sol.schedule import Schedule
from sol.skills.token_pruning.dvg.coarse_call import CoarseCall
from sol.skills.token_pruning.dvg.coarse_video import CoarseVideo
from sol.skills.token_pruning.dvg.settings import DVGConfig
from sol.space import Int, Ranked, Space
from sol.technique import Evidence, Installed, Phase, Seam, SpaceContext, Technique

_LATEST = 0.5
"""Share of a video's steps that may be coarse in a search."""

_PUBLISHED_END = 0.28
"""Of the first stage, as a share of the steps."""


def install(roles: Roles, config: DVGConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Puts itself in front of each denoiser; experts go on with one another's video."""
    video = CoarseVideo(config, clock)
    undos: list[Callable[[], None]] = [
        clock.on_video(video.begin, and_stage=False),
        clock.on_step(video.begin_step),
    ]
    for denoiser in roles.denoisers:
        around = CoarseCall(denoiser, video).around
        undos.append(wrap_forward(denoiser.module, "sol.dvg", around))

    def evidence() -> Evidence:
        counts = {
            "steps_coarse": video.n_coarse_steps,
            "tokens_saved": video.n_tokens_saved,
            "transitions": video.n_transitions,
        }
        return Evidence(video.n_coarse_steps > 0, counts)

    return Installed(lambda: undo_all(undos), evidence)


def space(context: SpaceContext) -> Space:
    """One coarse stage: a single step first, and the published end of the first stage."""
    n_steps = context.workload.steps
    latest = int(_LATEST * n_steps)
    if latest < 1:
        return Space()
    published = min(latest, max(1, int(_PUBLISHED_END * n_steps)))
    return Space(
        knobs={
            "until_step": Int(1, latest, bolder="up"),
            "space": Ranked((0.75, 0.67, 0.5)),
            "time": Ranked((1.0, 0.75, 0.5)),
        },
        first=(
            {"until_step": 1, "space": 0.5, "time": 1.0},
            {"until_step": min(2, latest), "space": 0.75, "time": 1.0},
            {"until_step": published, "space": 0.5, "time": 1.0},
        ),
    )


def saves(diagnosis: Diagnosis) -> float:
    """The denoiser's time in all steps that may be coarse."""
    return diagnosis.denoise_s * _LATEST


DVG = Technique(
    name="dvg",
    skill="token_pruning",
    summary="run the first steps on a coarser grid of the same noise (DVG)",
    exactness="lossy",
    requires=frozenset({Capability.COARSE_GRID}),
    writes=frozenset({Seam.LATENT_GRID}),
    # Around what splits a call; with what leaves calls out it goes in any order, since it tells
    # of another grid before the step's first call.
    phase=Phase.LOOP,
    config=DVGConfig,
    install=install,
    space=space,
    identity={"until_step": 0, "then": [], "content": None},
    saves=saves,
    source="arXiv 2605.21042",
)
