"""Reading, comparing and changing the arguments of a module's forward."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


def argument_reader(
    module: nn.Module, name: str
) -> Callable[[tuple[Any, ...], Mapping[str, Any]], torch.Tensor]:
    """A function (args, kwargs) -> the tensor passed as `name` to `module.forward`."""
    position = list(inspect.signature(module.forward).parameters).index(name)

    def read(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor:
        value: torch.Tensor = kwargs[name] if name in kwargs else args[position]
        return value

    return read


def replace_arguments(
    module: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call of `module.forward` with some replaced, each where it stands."""
    names = list(inspect.signature(module.forward).parameters)
    new_args = tuple(changes.get(name, value) for name, value in zip(names, args, strict=False))
    by_name = {name: value for name, value in changes.items() if name not in names[: len(args)]}
    return new_args, {**kwargs, **by_name}


@dataclass(frozen=True, eq=False)
class SeenTensor:
    """A tensor as it was when it was seen.

    Keeps it alive, so that its identity cannot be taken by another one.
    """

    tensor: torch.Tensor
    version: int

    @classmethod
    def of(cls, tensor: torch.Tensor) -> SeenTensor:
        return cls(tensor, version_of(tensor))

    def is_still(self, tensor: torch.Tensor) -> bool:
        """Whether `tensor` is this very tensor, not written to since."""
        return tensor is self.tensor and version_of(tensor) == self.version


def version_of(tensor: torch.Tensor) -> int:
    """A number that grows whenever the tensor, or what shares its memory, is written to."""
    # Inference tensors have no version counter, and cannot be changed in place outside their mode.
    return -1 if tensor.is_inference() else tensor._version


def map_tensors(change: Callable[[torch.Tensor], Any], value: Any) -> Any:
    """A copy of the tuples, lists and dicts of `value` in which every tensor is changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if type(value) in (tuple, list):
        return type(value)(map_tensors(change, item) for item in value)
    if type(value) is dict:
        return {key: map_tensors(change, item) for key, item in value.items()}
    return value


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """The tensors that `map_tensors` changes, in its order."""
    if isinstance(value, torch.Tensor):
        yield value
    elif type(value) in (tuple, list, dict):
        for item in value.values() if type(value) is dict else value:
            yield from tensors_in(item)


def is_match(same: Callable[[Any, torch.Tensor], bool], kept: Any, given: Any) -> bool:
    """Whether arguments are those that were kept; what cannot be told apart for sure is not.

    Args:
        same: (what `map_tensors` put in a tensor's place, the tensor given now) -> equal or not.
    """
    if isinstance(given, torch.Tensor):
        return same(kept, given)
    if type(kept) is not type(given):
        return False
    if type(given) is dict:
        return kept.keys() == given.keys() and all(
            is_match(same, kept[key], given[key]) for key in given
        )
    if type(given) in (tuple, list):
        return len(kept) == len(given) and all(
            is_match(same, a, b) for a, b in zip(kept, given, strict=True)
        )
    return kept is given or (kept == given) is True
