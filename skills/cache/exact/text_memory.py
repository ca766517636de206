"""Exact reuse of what depends on the text alone: what text_kv and prompt_projection share.

Within one video the text does not change, so what is computed from the text alone is the same
at every step. It is computed at the first step and returned afterwards.

Text that the pipeline passes as the same tensor, unmodified, is the same text. Anything else is
computed anew: two guidance branches with texts of their own are told apart by their tensors.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from sol.attach import find_places, replace_child, undo_all, wrap_forward
from sol.clock import Clock
from sol.errors import NoEffectError
from sol.forward_arguments import SeenTensor, argument_reader
from sol.roles import DenoiserRoles, Roles
from sol.skills.cache.memory import bytes_of
from sol.technique import Evidence, Installed

# A pipeline has one text for each guidance branch, or both in one tensor and slices of it. One
# that makes a new tensor at every step must not fill the memory with texts that never come back.
_MAX_TEXTS = 4


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

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        if self.reuse and self.remembered is not None:
            return self.remembered
        output: torch.Tensor = self.inner(*args, **kwargs)
        self.remembered = output
        return output


@dataclass(frozen=True)
class _Text:
    """One text of the current video and what each module made of it."""

    states: SeenTensor
    outputs: tuple[torch.Tensor | None, ...]

    @property
    def n_bytes(self) -> int:
        return bytes_of(self.outputs)


@dataclass
class _Memory:
    """The texts of the current video, for one denoiser."""

    modules: tuple[RememberedOutput, ...]
    texts: deque[_Text] = field(default_factory=lambda: deque(maxlen=_MAX_TEXTS))
    computed: int = 0
    reused: int = 0
    bytes_peak: int = 0

    def forget(self) -> None:
        self.texts.clear()
        self._load((None,) * len(self.modules))

    def around(
        self, states: torch.Tensor, forward: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """One denoiser call over the text `states`."""
        known = next((text for text in self.texts if text.states.is_still(states)), None)
        self._load(known.outputs if known else (None,) * len(self.modules))
        result = forward(*args, **kwargs)
        if known is None:
            outputs = tuple(module.remembered for module in self.modules)
            self.texts.append(_Text(SeenTensor.of(states), outputs))
            self.computed += sum(output is not None for output in outputs)
            self.bytes_peak = max(self.bytes_peak, sum(text.n_bytes for text in self.texts))
        else:
            self.reused += sum(output is not None for output in known.outputs)
        return result

    def _load(self, outputs: tuple[torch.Tensor | None, ...]) -> None:
        for module, output in zip(self.modules, outputs, strict=True):
            module.remembered = output
            module.reuse = output is not None


def install_text_memory(
    roles: Roles,
    clock: Clock,
    name: str,
    find_modules: Callable[[DenoiserRoles], Iterable[nn.Module]],
) -> Installed:
    """Stands in for the modules that see the text alone, and wraps the denoisers to see the text.

    Args:
        name: The technique's name, for its hook and its errors.
        find_modules: The modules of a denoiser whose output, a tensor, depends on the text alone.

    Raises:
        NoEffectError: No denoiser has such a module.
    """
    undos: list[Callable[[], None]] = []
    memories = [
        _attach(denoiser, clock, name, find_modules(denoiser), undos)
        for denoiser in roles.denoisers
    ]
    if not any(memory.modules for memory in memories):
        undo_all(undos)
        raise NoEffectError(
            f"{name} found no module that depends on the text alone: nothing to reuse."
        )

    def evidence() -> Evidence:
        reused = sum(memory.reused for memory in memories)
        computed = sum(memory.computed for memory in memories)
        counts = {
            "projections_computed": computed,
            "projections_reused": reused,
            "bytes_held": sum(memory.bytes_peak for memory in memories),
        }
        return Evidence(reused > 0, counts)

    return Installed(lambda: undo_all(undos), evidence)


def _attach(
    denoiser: DenoiserRoles,
    clock: Clock,
    name: str,
    modules: Iterable[nn.Module],
    undos: list[Callable[[], None]],
) -> _Memory:
    stand_ins = []
    for parent, child_name, child in find_places(denoiser.module, modules):
        stand_ins.append(RememberedOutput(child))
        undos.append(replace_child(parent, child_name, stand_ins[-1]))
    memory = _Memory(tuple(stand_ins))
    read_text = argument_reader(denoiser.module, denoiser.text)

    def around(forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return memory.around(read_text(args, kwargs), forward, *args, **kwargs)

    undos.append(memory.forget)
    undos.append(clock.on_video(memory.forget))
    undos.append(wrap_forward(denoiser.module, f"sol.{name}", around))
    return memory
