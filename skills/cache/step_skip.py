"""Skipping whole denoiser calls: what step_mask and EasyCache share.

A policy decides; this module keeps the residual of the last computed call of each guidance
branch and adds it to the input of a skipped one. The residual (output - input) is reused rather
than the output, since the input has moved on (EasyCache, arXiv 2507.02860, section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from sol.attach import undo_all, wrap_forward
from sol.clock import Clock
from sol.forward_arguments import argument_reader
from sol.roles import DenoiserRoles, Roles
from sol.technique import Evidence, Installed


class SkipPolicy(Protocol):
    """Decides which calls of one denoiser are skipped. Knows nothing of how.

    `latents` is the denoiser's input, `output` its prediction, both of the pipeline's shape.
    A call is only ever skipped where its branch has a residual from the same video.
    """

    def should_skip(self, branch: str, latents: torch.Tensor) -> bool:
        """Whether this call may be skipped. Called once for every call."""
        ...

    def observe(self, branch: str, latents: torch.Tensor, output: torch.Tensor) -> None:
        """Told of every call that was computed."""
        ...

    def forget(self) -> None:
        """A new video begins: no state crosses."""
        ...


@dataclass
class _Ledger:
    """Residuals of the current video, and how many calls were computed and skipped so far."""

    residuals: dict[str, torch.Tensor] = field(default_factory=dict)
    output_type: type | None = None
    computed: int = 0
    skipped: int = 0


def install_step_skip(
    roles: Roles, clock: Clock, name: str, make_policy: Callable[[], SkipPolicy]
) -> Installed:
    """Puts one policy in front of each denoiser.

    Args:
        name: The hook's name, unique on each denoiser.
        make_policy: Called once a denoiser: experts do not share state.
    """
    undos: list[Callable[[], None]] = []
    ledgers = [
        _attach(denoiser, clock, name, make_policy(), undos) for denoiser in roles.denoisers
    ]

    def evidence() -> Evidence:
        skipped = sum(ledger.skipped for ledger in ledgers)
        computed = sum(ledger.computed for ledger in ledgers)
        return Evidence(skipped > 0, {"calls_computed": computed, "calls_skipped": skipped})

    return Installed(lambda: undo_all(undos), evidence)


def _attach(
    denoiser: DenoiserRoles,
    clock: Clock,
    name: str,
    policy: SkipPolicy,
    undos: list[Callable[[], None]],
) -> _Ledger:
    ledger = _Ledger()
    read_latents = argument_reader(denoiser.module, denoiser.latents)

    def forget() -> None:
        ledger.residuals.clear()
        policy.forget()

    def around(forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        latents, branch = read_latents(args, kwargs), clock.branch
        if policy.should_skip(branch, latents) and branch in ledger.residuals:
            ledger.skipped += 1
            return like_output(latents + ledger.residuals[branch], ledger.output_type)
        result = forward(*args, **kwargs)
        output = result[0]
        # A fresh tensor: what edits the output in place later must not reach the residual.
        ledger.residuals[branch] = (output - latents).detach()
        ledger.output_type = None if isinstance(result, tuple) else type(result)
        ledger.computed += 1
        policy.observe(branch, latents, output)
        return result

    undos.append(clock.on_video(forget))
    undos.append(wrap_forward(denoiser.module, name, around))
    return ledger


def like_output(tensor: torch.Tensor, output_type: type | None) -> Any:
    """`tensor` in the form in which the denoiser last answered: a tuple, or diffusers' record."""
    return (tensor,) if output_type is None else output_type(sample=tensor)
