"""Exact reuse of the text keys and values of every cross-attention.

Within one video the text does not change, so what is computed from the text alone is the same
at every step. It is computed at the first step and returned afterwards.

Text that the pipeline passes as the same tensor, unmodified, is the same text. Anything else is
computed anew: two guidance branches with texts of their own are told apart by their tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from sol.attach import replace_child, undo_all, wrap_forward
from sol.clock import Clock
from sol.errors import NoEffectError
from sol.forward_arguments import argument_reader
from sol.roles import Capability, DenoiserRoles, Roles
from sol.schedule import Schedule
from sol.space import Space
from sol.target import STRICT
from sol.technique import Evidence, Installed, Phase, Seam, SpaceContext, Technique


@dataclass(frozen=True)
class TextKVConfig:
    """No settings: it is exact."""

    __pydantic_config__ = STRICT


class RememberedOutput(nn.Module):
    """Stands for a module and returns what it last computed while `reuse` is set.

    Only plain attributes decide, so that torch.compile can trace it: two graphs, one for each
    value of `reuse`, serve all blocks.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.reuse = False
        self.remembered: torch.Tensor | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.reuse and self.remembered is not None:
            return self.remembered
        output: torch.Tensor = self.inner(x)
        self.remembered = output
        return output


@dataclass(frozen=True)
class _Text:
    """One text tensor of the current video and what each module made of it.

    Keeps the tensor alive, so that its identity cannot be taken by another one.
    """

    states: torch.Tensor
    version: int
    outputs: tuple[torch.Tensor | None, ...]

    def is_text_of(self, states: torch.Tensor) -> bool:
        return states is self.states and _version(states) == self.version


@dataclass
class _Memory:
    """The texts of the current video, for one denoiser."""

    modules: tuple[RememberedOutput, ...]
    texts: list[_Text] = field(default_factory=list)
    computed: int = 0
    reused: int = 0

    def forget(self) -> None:
        self.texts.clear()
        self._load((None,) * len(self.modules))

    def around(
        self, states: torch.Tensor, forward: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """One denoiser call over the text `states`."""
        known = next((text for text in self.texts if text.is_text_of(states)), None)
        self._load(known.outputs if known else (None,) * len(self.modules))
        result = forward(*args, **kwargs)
        if known is None:
            outputs = tuple(module.remembered for module in self.modules)
            self.texts.append(_Text(states, _version(states), outputs))
            self.computed += sum(output is not None for output in outputs)
        else:
            self.reused += sum(output is not None for output in known.outputs)
        return result

    def _load(self, outputs: tuple[torch.Tensor | None, ...]) -> None:
        for module, output in zip(self.modules, outputs, strict=True):
            module.remembered = output
            module.reuse = output is not None


def install(roles: Roles, config: TextKVConfig, schedule: Schedule, clock: Clock) -> Installed:
    """Stands in for the text-only modules, and wraps the denoisers to see the text.

    Raises:
        NoEffectError: No denoiser has a cross-attention over text.
    """
    if not any(denoiser.cross_attention for denoiser in roles.denoisers):
        raise NoEffectError("text_kv found no cross-attention over text: nothing to reuse.")
    undos: list[Callable[[], None]] = []
    memories = [_attach(denoiser, clock, undos) for denoiser in roles.denoisers]

    def evidence() -> Evidence:
        reused = sum(memory.reused for memory in memories)
        computed = sum(memory.computed for memory in memories)
        counts = {"projections_computed": computed, "projections_reused": reused}
        return Evidence(reused > 0, counts)

    return Installed(lambda: undo_all(undos), evidence)


def _attach(denoiser: DenoiserRoles, clock: Clock, undos: list[Callable[[], None]]) -> _Memory:
    stand_ins = []
    for site in denoiser.cross_attention:
        for name, child in list(site.module.named_children()):
            if any(child is module for module in site.text_only):
                stand_ins.append(RememberedOutput(child))
                undos.append(replace_child(site.module, name, stand_ins[-1]))
    memory = _Memory(tuple(stand_ins))
    read_text = argument_reader(denoiser.module, denoiser.text)

    def around(forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return memory.around(read_text(args, kwargs), forward, *args, **kwargs)

    undos.append(clock.on_video(memory.forget))
    undos.append(wrap_forward(denoiser.module, "sol.text_kv", around))
    return memory


def _version(tensor: torch.Tensor) -> int:
    # Inference tensors have no version counter, and cannot be changed in place outside their mode.
    return -1 if tensor.is_inference() else tensor._version


def space(context: SpaceContext) -> Space:
    """One setting: on."""
    return Space(first=({},))


TEXT_KV = Technique(
    name="text_kv",
    skill="cache",
    summary="compute text keys and values once a video (exact)",
    exactness="exact",
    requires=frozenset({Capability.TEXT_CROSS_ATTENTION}),
    writes=frozenset({Seam.TEXT_PROJECTION}),
    phase=Phase.MODULES,
    config=TextKVConfig,
    install=install,
    space=space,
)
