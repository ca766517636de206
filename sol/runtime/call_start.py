"""What a call of a pipeline was given, kept so that the same call can be made a second time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class CallStart:
    """The arguments and the random state at the start of a call.

    Attributes:
        args: With copies of the tensors: a pipeline may go on with a passed tensor in place.
        generators: Each passed generator with its state.
        cpu_state: Of PyTorch's own generator, from which noise is drawn where none is passed.
        cuda_states: The same of each GPU, if any is in use.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    generators: tuple[tuple[torch.Generator, torch.Tensor], ...]
    cpu_state: torch.Tensor
    cuda_states: tuple[torch.Tensor, ...]

    def rewind(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Sets all generators back; returns the arguments of the second call."""
        for generator, state in self.generators:
            generator.set_state(state)
        torch.set_rng_state(self.cpu_state)
        if self.cuda_states:
            torch.cuda.set_rng_state_all(self.cuda_states)
        return self.args, dict(self.kwargs)


def keep_call_start(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> CallStart:
    """Copies what a first call may change."""
    is_cuda_used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    cuda = torch.cuda.get_rng_state_all() if is_cuda_used else []
    return CallStart(
        args=tuple(_copy(value) for value in args),
        kwargs={name: _copy(value) for name, value in kwargs.items()},
        generators=tuple((g, g.get_state()) for g in _find_generators((*args, *kwargs.values()))),
        cpu_state=torch.get_rng_state(),
        cuda_states=tuple(cuda),
    )


def _copy(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, list):
        return [_copy(item) for item in value]
    return value


def _find_generators(values: tuple[Any, ...]) -> Iterator[torch.Generator]:
    for value in values:
        for item in value if isinstance(value, list | tuple) else (value,):
            if isinstance(item, torch.Generator):
                yield item
