"""What stacks do to single calls of the denoiser, on inputs recorded from a baseline video."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from sol.attach import undo_all, wrap_forward
from sol.errors import SolError
from sol.models.families import describe_roles
from sol.roles import DenoiserRoles
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import denoise
from sol.target import Workload
from sol.technique import Stack

_SHARES = (0.1, 0.5, 0.9)
"""Where in the video the calls are recorded: early, halfway, late."""


@dataclass(frozen=True)
class RecordedCall:
    """One call of a denoiser, and what it returned, in full precision."""

    denoiser: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: torch.Tensor


def measure_call_errors(
    pipeline: Any, workload: Workload, stacks: Sequence[Stack], pair: tuple[str, int]
) -> tuple[float, ...]:
    """Of each stack, |output - baseline's| / |baseline's| over a few calls together.

    Every call is one of its own: what a stack does only across steps does not show.

    Raises:
        SolError: An output is not finite.
        NoEffectError: A stack found nothing to work on.
    """
    clone = clone_pipeline(pipeline)
    calls = record_calls(clone, workload, pair)
    return tuple(_require_finite(call_error_of(clone, stack, calls), stack) for stack in stacks)


def record_calls(
    pipeline: Any, workload: Workload, pair: tuple[str, int]
) -> tuple[RecordedCall, ...]:
    """All denoiser calls at a few steps of one video; it is not decoded."""
    wanted = {round(share * (workload.steps - 1)) for share in _SHARES}
    calls: list[RecordedCall] = []
    position = [0]

    def after_step(step: int, latents: torch.Tensor) -> torch.Tensor:
        position[0] = step + 1
        return latents

    def recording(denoiser: DenoiserRoles) -> Callable[..., Any]:
        def around(
            forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> Any:
            output = forward(*args, **kwargs)
            if position[0] in wanted:
                y = denoiser.form.read_answer(output)
                calls.append(RecordedCall(denoiser.name, args, kwargs, y))
            return output

        return around

    undos = [
        wrap_forward(denoiser.module, "sol.recording", recording(denoiser))
        for denoiser in describe_roles(pipeline).denoisers
    ]
    try:
        denoise(pipeline, workload, *pair, after_step)
    finally:
        undo_all(undos)
    return tuple(calls)


def call_error_of(pipeline: Any, stack: Stack, calls: Sequence[RecordedCall]) -> float:
    """|output - recorded| / |recorded| over all calls, with the stack on `pipeline` for them.

    Raises:
        NoEffectError: The stack found nothing to work on.
    """
    difference = reference = 0.0
    forms = {denoiser.name: denoiser.form for denoiser in describe_roles(pipeline).denoisers}
    applied = install_stack(pipeline, stack)
    try:
        for call in calls:
            with torch.no_grad():
                answer = getattr(pipeline, call.denoiser)(*call.args, **call.kwargs)
            output = forms[call.denoiser].read_answer(answer)
            difference += float((output - call.output).float().square().sum())
            reference += float(call.output.float().square().sum())
    finally:
        applied.undo()
    return math.sqrt(difference / reference)


def _require_finite(error: float, stack: Stack) -> float:
    if not math.isfinite(error):
        raise SolError(f"An output of the denoiser is not finite with {stack}.")
    return error
