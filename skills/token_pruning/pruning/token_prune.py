"""Token pruning: the blocks compute the tokens that matter, the others are predicted.

TokenPrune of Sol, arXiv 2606.23743: in the middle steps of a run the blocks compute a share of the
tokens, by default those with the largest hidden states; the others get what the blocks added to
them at the last step that computed them. Published for 50 to 90 % kept.

Beyond it: tokens chosen by how their output changed, residuals extrapolated in first order, and
self-attention over all tokens, with the keys and values of those that are left out remembered, or
extrapolated too. (Measured on pocket-long, 2 prompts, every second step with half of the tokens,
chosen by "velocity": 29.8 dB among kept tokens, 53.7 with remembered ones, 62.9 with extrapolated
ones, all three with "linear"; 24.6 with "zero" and 51.5 with "previous" over remembered ones.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from sol.clock import Clock
from sol.roles import Capability, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.skills.token_pruning.pruning.pruning import install_pruning
from sol.skills.token_pruning.pruning.settings import PruningSettings
from sol.skills.token_pruning.pruning.space import LEAST_KEPT, early, pruning_knobs, saves
from sol.skills.token_pruning.selection.by_hidden_states import ByHiddenStates, HiddenScore
from sol.skills.token_pruning.selection.by_output_change import ByOutputChange
from sol.skills.token_pruning.selection.by_position import AtRandom, EvenlySpaced
from sol.skills.token_pruning.selection.selection import Selection
from sol.space import Choice, Float, Space
from sol.target import STRICT
from sol.technique import Installed, Phase, Seam, SpaceContext, Technique

Score = HiddenScore | Literal["velocity", "uniform", "random"]


@dataclass(frozen=True, kw_only=True)
class TokenPruneConfig(PruningSettings):
    """Settings.

    Attributes:
        keep: Share of the tokens that a reduced step computes; 1 leaves none out.
        score: What the kept tokens are highest in: the squared norm, sum of magnitudes or variance
            of their hidden states, or the change of the output; or evenly spaced, or at random.
        seed: Of "random".
    """

    __pydantic_config__ = STRICT

    keep: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    score: Score = "velocity"
    seed: Annotated[int, Field(ge=0)] = 0


def install(roles: Roles, config: TokenPruneConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Reduces the active blocks of every denoiser."""

    def make_selection(denoiser: DenoiserRoles) -> Selection:
        return _make_selection(config, denoiser, clock)

    return install_pruning(roles, "token_prune", config, schedule, clock, make_selection)


def _make_selection(config: TokenPruneConfig, denoiser: DenoiserRoles, clock: Clock) -> Selection:
    if config.score == "velocity":
        return ByOutputChange(config.keep, denoiser.grid)
    if config.score == "uniform":
        return EvenlySpaced(config.keep, clock)
    if config.score == "random":
        return AtRandom(config.keep, config.seed, clock)
    return ByHiddenStates(config.score, config.keep)


def space(context: SpaceContext) -> Space:
    """Shares from the boldest published to what loses least.

    First settings: two that lost little where they were measured, and the published method with
    its highest share.
    """
    knobs = pruning_knobs(context.workload)
    if not knobs:
        return Space()
    ours = {"score": "velocity", "compensation": "linear", "context": "extrapolated"}
    published = {"score": "feature_norm", "compensation": "previous", "context": "kept"}
    warmup = early(context.workload)
    return Space(
        knobs={
            "keep": Float(LEAST_KEPT, 0.9, bolder="down"),
            "score": Choice(("velocity", "feature_norm", "uniform")),
            **knobs,
        },
        first=(
            {"keep": 0.5, "warmup": warmup, "refresh": 2, **ours},
            {"keep": 0.3, "warmup": 2 * warmup, "refresh": 3, **ours},
            {"keep": 0.9, "warmup": warmup, "refresh": 2, **published},
        ),
    )


TOKEN_PRUNE = Technique(
    name="token_prune",
    skill="token_pruning",
    summary="leave out the tokens that change least in most steps, and predict them",
    exactness="lossy",
    requires=frozenset({Capability.TOKEN_SET, Capability.GRID_ATTENTION}),
    writes=frozenset({Seam.TOKEN_SET, Seam.ATTENTION_BACKEND}),
    phase=Phase.BLOCKS,
    config=TokenPruneConfig,
    install=install,
    space=space,
    protects={"warmup": "first", "tail": "last"},
    identity={"keep": 1.0},
    schedulable=frozenset({"steps", "layers"}),
    saves=saves,
    source="arXiv 2606.23743",
)
