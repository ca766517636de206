"""Patterns of expressions in a graph as Dynamo hands it to a backend.

A pattern matches an expression whatever dtypes it goes through: kernels compute in float32 and
round once, so a cast inside an expression is no part of its meaning here. Two operands of a sum or
a product match in either order.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import torch
from torch.fx import Node

Found = Mapping[str, Any]
"""What the variables of a pattern stand for."""

_COMMUTATIVE = (operator.add, operator.mul)
_CAST_METHODS = ("to", "float", "half", "bfloat16", "type_as")


def is_node(value: Any) -> bool:
    """Whether `value` is computed in the graph, or given to it: no constant."""
    return isinstance(value, Node)


def is_number(value: Any) -> bool:
    """Whether `value` is a constant number."""
    return isinstance(value, float | int)


def is_any(value: Any) -> bool:
    """True."""
    return True


@dataclass(frozen=True)
class Variable:
    """What `accepts` says; the same value wherever it stands. Upcasts are left off it."""

    name: str
    accepts: Callable[[Any], bool] = is_node

    def match(self, value: Any, found: Found) -> Iterator[Found]:
        """`found` with `value`, unless the variable stands for another one already."""
        value = _without_upcasts(value)
        if self.name not in found and self.accepts(value):
            yield {**found, self.name: value}
        elif self.name in found and found[self.name] is value:
            yield found


@dataclass(frozen=True)
class Call:
    """A call of a function or, by its name, of a method; keywords not named here may be there."""

    target: Callable[..., Any] | str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)

    def match(self, value: Any, found: Found) -> Iterator[Found]:
        """Every way in which `value` is this call."""
        node = _without_casts(value)
        if not isinstance(node, Node) or node.target != self.target:
            return
        if any(key not in node.kwargs for key in self.kwargs):
            return
        given = tuple(node.kwargs[key] for key in self.kwargs)
        wanted = (*self.args, *self.kwargs.values())
        yield from _match_all(wanted, (*node.args, *given), found)
        if self.target in _COMMUTATIVE:
            yield from _match_all(wanted, (*reversed(node.args), *given), found)


@dataclass(frozen=True)
class OneOf:
    """Any of some patterns; what the one that matched is called is noted under `name`."""

    name: str
    patterns: tuple[tuple[str, Pattern], ...]

    def match(self, value: Any, found: Found) -> Iterator[Found]:
        """Every way in which `value` is one of them."""
        for kind, pattern in self.patterns:
            yield from pattern.match(value, {**found, self.name: kind})


Pattern = Variable | Call | OneOf


def call(target: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Call:
    """The pattern of `target(*args, **kwargs)`; of a method, its object is the first argument."""
    return Call(target, args, kwargs)


def example_value(node: Node) -> torch.Tensor | None:
    """The fake tensor that Dynamo noted for a node, if it noted one."""
    value = node.meta.get("example_value")
    return value if isinstance(value, torch.Tensor) else None


def rounded_to(node: Node, like: Node) -> Node:
    """`node`, or the cast to the dtype of `like` that is all that becomes of it."""
    if _dtype(node) == _dtype(like) or len(node.users) != 1:
        return node
    reader = next(iter(node.users))
    return reader if _is_cast(reader) and _dtype(reader) == _dtype(like) else node


def _is_cast(value: Any) -> TypeGuard[Node]:
    """Whether `value` is a call that changes nothing but a tensor's floating dtype."""
    if not isinstance(value, Node) or value.op != "call_method":
        return False
    is_to_dtype = value.target != "to" or any(isinstance(a, torch.dtype) for a in value.args)
    dtype = _dtype(value)
    is_float = dtype is not None and dtype.is_floating_point
    return value.target in _CAST_METHODS and is_to_dtype and is_float


def _match_all(wanted: Sequence[Any], given: Sequence[Any], found: Found) -> Iterator[Found]:
    if len(wanted) != len(given):
        return
    if not wanted:
        yield found
        return
    for known in _match_one(wanted[0], given[0], found):
        yield from _match_all(wanted[1:], given[1:], known)


def _match_one(wanted: Any, given: Any, found: Found) -> Iterator[Found]:
    if isinstance(wanted, Pattern):
        yield from wanted.match(given, found)
    elif isinstance(wanted, list) and isinstance(given, Sequence):
        yield from _match_all(wanted, given, found)
    elif wanted == given:
        yield found


def _without_upcasts(value: Any) -> Any:
    while _is_cast(value) and _is_upcast(value):
        value = value.args[0]
    return value


def _without_casts(value: Any) -> Any:
    while _is_cast(value):
        value = value.args[0]
    return value


def _is_upcast(cast: Node) -> bool:
    old, new = _dtype(cast.args[0]), _dtype(cast)
    return old is not None and new is not None and torch.promote_types(old, new) == new


def _dtype(value: Any) -> torch.dtype | None:
    example = example_value(value) if isinstance(value, Node) else None
    return None if example is None else example.dtype
