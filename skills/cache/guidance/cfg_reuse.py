"""Reuse of the unconditional branch of guidance: in most steps it is estimated, not computed.

With c the conditional and u the unconditional output, d = u - c changes slowly from step to step.
A step that computes both keeps d; the steps up to the next one compute c alone and take

    u = c + d                          (difference)
    u = c + w_l low(d) + w_h high(d)   (spectral)

where low and high split d by spatial frequency: FasterCache (Lv et al., arXiv 2410.19355), whose
gains strengthen the low frequencies in the first half of a run and the high ones in the second.

Batched guidance computes the conditional half of the batch; two-call guidance leaves out the
unconditional call, which follows the conditional one of the same step. A step that a step cache
outside leaves out has neither: distance is counted in steps since both were last computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from sol.attach import undo_all, wrap_forward
from sol.call_form import CallForm, type_of
from sol.clock import Branch, Clock
from sol.diagnosis import Diagnosis
from sol.roles import Capability, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.skills.cache.guidance.conditional_half import ConditionalHalf
from sol.skills.cache.guidance.guidance_estimate import CFGReuseConfig, GuidanceEstimate
from sol.skills.cache.memory import bytes_of
from sol.space import Choice, Int, Space
from sol.technique import Evidence, Installed, Phase, Seam, SpaceContext, Technique

_LONGEST_WINDOW = 5


@dataclass
class _Counts:
    computed: int = 0
    reused: int = 0
    held: dict[str, int] = field(default_factory=dict)
    peak: int = 0

    def hold(self, owner: str, n_bytes: int) -> None:
        self.held[owner] = n_bytes
        self.peak = max(self.peak, sum(self.held.values()))


@dataclass
class _Batched:
    """Both branches in one call."""

    name: str
    estimate: GuidanceEstimate
    clock: Clock
    counts: _Counts
    form: CallForm
    half: ConditionalHalf = field(default_factory=ConditionalHalf)

    def around(
        self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if not self.clock.is_guided or self.clock.branch != "both":
            return forward(*args, **kwargs)
        if self.estimate.is_due:
            return self._run_half(forward, args, kwargs)
        result = forward(*args, **kwargs)
        self.estimate.observe(*self.form.read_answer(result).chunk(2))
        self.counts.computed += 1
        self.counts.hold(self.name, bytes_of((self.estimate.difference,)))
        return result

    def forget(self) -> None:
        self.estimate.forget()
        self.half.forget()

    def _run_half(
        self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        n_batch = self.form.read(args, kwargs).shape[0]
        half_args, half_kwargs = self.half.of(args, kwargs, n_batch)
        result = _at_branch(self.clock, "cond", lambda: forward(*half_args, **half_kwargs))
        self.counts.reused += 1
        cond = self.form.read_answer(result)
        both = torch.cat([self.estimate.of(cond, half_args, half_kwargs), cond])
        return self.form.answer(both, args, kwargs, type_of(result))


@dataclass
class _TwoCall:
    """The conditional call of a step, then the unconditional one."""

    name: str
    estimate: GuidanceEstimate
    clock: Clock
    counts: _Counts
    form: CallForm
    cond: torch.Tensor | None = None
    cond_step: int = -1
    answer_type: type | None = None

    def around(
        self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        if not self.clock.is_guided or self.clock.branch == "both":
            return forward(*args, **kwargs)
        if self.clock.branch == "cond":
            return self._run_cond(forward, args, kwargs)
        cond, self.cond = self.cond, None
        if cond is None or self.cond_step != self.clock.step:
            return forward(*args, **kwargs)
        if self.estimate.is_due:
            self.counts.reused += 1
            estimate = self.estimate.of(cond, args, kwargs)
            return self.form.answer(estimate, args, kwargs, self.answer_type)
        result = forward(*args, **kwargs)
        self.estimate.observe(self.form.read_answer(result), cond)
        self.counts.computed += 1
        return result

    def forget(self) -> None:
        self.estimate.forget()
        self.cond, self.cond_step = None, -1

    def _run_cond(
        self, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        result = forward(*args, **kwargs)
        # A copy: the pipeline may write into its own before the unconditional call.
        cond = self.form.read_answer(result).detach().clone()
        self.cond, self.cond_step = cond, self.clock.step
        self.answer_type = type_of(result)
        self.counts.hold(self.name, bytes_of((self.cond, self.estimate.difference)))
        return result


def install(roles: Roles, config: CFGReuseConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Puts itself in front of each denoiser; experts do not share state."""
    undos: list[Callable[[], None]] = []
    counts = _Counts()
    for denoiser in roles.denoisers:
        estimate = GuidanceEstimate(config, schedule, clock, denoiser.grid, denoiser.form)
        guidance = _guidance(denoiser, roles, estimate, counts)
        undos.append(guidance.forget)
        undos.append(clock.on_video(guidance.forget))
        undos.append(wrap_forward(denoiser.module, "sol.cfg_reuse", guidance.around))

    def evidence() -> Evidence:
        return Evidence(
            counts.reused > 0,
            {
                "branches_computed": counts.computed,
                "branches_reused": counts.reused,
                "bytes_held": counts.peak,
            },
        )

    return Installed(lambda: undo_all(undos), evidence)


def _guidance(
    denoiser: DenoiserRoles, roles: Roles, estimate: GuidanceEstimate, counts: _Counts
) -> _Batched | _TwoCall:
    if roles.guidance == "two_call":
        return _TwoCall(denoiser.name, estimate, estimate.clock, counts, denoiser.form)
    return _Batched(denoiser.name, estimate, estimate.clock, counts, denoiser.form)


def _at_branch(clock: Clock, branch: Branch, run: Callable[[], Any]) -> Any:
    before, clock.branch = clock.branch, branch
    try:
        return run()
    finally:
        clock.branch = before


def space(context: SpaceContext) -> Space:
    """Windows of 2 to 5 steps; FasterCache, which begins after a third of the run, first."""
    n_steps = context.workload.steps
    latest_warmup = max(2, n_steps // 2)
    third = max(2, n_steps // 3)
    longest = min(_LONGEST_WINDOW, n_steps - third - 1)
    if context.workload.guidance_scale <= 1 or longest <= 1:
        return Space()
    return Space(
        knobs={
            "every": Int(2, longest, bolder="up"),
            "mode": Choice(("difference", "spectral")),
            "warmup": Int(1, latest_warmup, bolder="down"),
            "tail": Int(0, max(1, n_steps // 4), bolder="down"),
        },
        first=(
            {"every": longest, "mode": "spectral", "warmup": third, "tail": 0},
            {"every": 2, "mode": "difference", "warmup": third, "tail": 1},
            {"every": longest, "mode": "difference", "warmup": third, "tail": 1},
        ),
    )


def saves(diagnosis: Diagnosis) -> float:
    """Half of the denoiser's time, but for one step in the longest window."""
    return diagnosis.denoise_s / 2 * (1 - 1 / _LONGEST_WINDOW)


CFG_REUSE = Technique(
    name="cfg_reuse",
    skill="cache",
    summary="estimate the unconditional branch of guidance in most steps (FasterCache)",
    exactness="lossy",
    requires=frozenset({Capability.GUIDANCE_BRANCHES}),
    writes=frozenset({Seam.GUIDANCE_BRANCH}),
    phase=Phase.GUIDANCE,
    config=CFGReuseConfig,
    install=install,
    space=space,
    protects={"warmup": "first", "tail": "last"},
    identity={"every": 1},
    schedulable=frozenset({"steps"}),
    saves=saves,
    source="arXiv 2410.19355",
)
