"""Another computation for an attention that goes through diffusers' dispatch.

A processor passes its own `_attention_backend` and `_parallel_config` to the dispatch. The first
is set to a back-end of Sol's, the second, which says nothing on one device, to the number of the
route: the model's code stays as it is, and so does the registry's active back-end, which every
other pipeline of the process follows.

The computation stands in compiled code as one opaque operator. The number is a tensor there, an
input of the graph and not a part of it, so that equal blocks share one compiled graph.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention_dispatch import (
    AttentionBackendName,
    _AttentionBackendRegistry,
    dispatch_attention_fn,
)
from torch import Tensor

from sol.attach import set_attribute, undo_all
from sol.errors import ConflictError

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Query, key, value, each (batch, tokens, heads, head_dim) -> output of the query's shape."""

Compute = Callable[[Tensor, Tensor, Tensor, Attention], Tensor]
"""As `Attention`; the last argument is what the site computed before."""


@dataclass(frozen=True)
class _Route:
    """Where a site's calls go.

    Attributes:
        number: A tensor of no axes: its key in `_ROUTES`.
        before: The site's back-end until now; None is the process's active one.
    """

    number: Tensor
    before: AttentionBackendName | None


# An operator takes tensors and numbers: what it is to compute is looked up here.
_ROUTES: dict[int, tuple[Compute, Attention]] = {}
_numbers = itertools.count()


def route_attention(processor: Any, compute: Compute) -> Callable[[], None]:
    """Runs `compute` instead of a site's attention, until undone.

    Calls with a mask, a scale or an order of their own are computed as before.

    Args:
        processor: Of the attention module (`AttentionSite.module.processor`).

    Raises:
        ConflictError: The site's attention is already routed, or split over devices.
    """
    if processor._parallel_config is not None:
        what = "routed" if isinstance(processor._parallel_config, _Route) else "split over devices"
        raise ConflictError(f"This attention is already {what}: undo that first.")
    number, before = next(_numbers), processor._attention_backend
    _ROUTES[number] = (compute, _as_before(before))
    undos = [
        _register(),
        lambda: _forget(number),
        set_attribute(processor, "_attention_backend", _ROUTED),
        set_attribute(processor, "_parallel_config", _Route(torch.tensor(number), before)),
    ]
    return lambda: undo_all(undos)


def _forget(number: int) -> None:
    del _ROUTES[number]


def _as_before(backend: AttentionBackendName | None) -> Attention:
    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        output: Tensor = dispatch_attention_fn(query, key, value, backend=backend)
        return output

    return attend


def _name_backend(name: str) -> AttentionBackendName:
    """A name that the dispatch takes without a look at the enumeration, which stays as it is."""
    member = str.__new__(AttentionBackendName, name)
    member._name_ = member._value_ = name
    return member


_ROUTED = _name_backend("sol_routed")


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    _parallel_config: Any = None,
) -> Tensor:
    """The back-end, as diffusers' dispatch calls it."""
    if attn_mask is None and scale is None and not (is_causal or enable_gqa or dropout_p):
        output: Tensor = torch.ops.sol.routed_attention(query, key, value, _parallel_config.number)
    else:
        output = dispatch_attention_fn(
            query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa,
            backend=_parallel_config.before,
        )  # fmt: skip
    return output


def _register() -> Callable[[], None]:
    """The back-end is in diffusers' table as long as a site goes there."""
    _AttentionBackendRegistry._backends[_ROUTED] = _attend
    _AttentionBackendRegistry._constraints[_ROUTED] = []
    _AttentionBackendRegistry._supported_arg_names[_ROUTED] = set(
        inspect.signature(_attend).parameters
    )

    def undo() -> None:
        if _ROUTES:
            return
        for table in ("_backends", "_constraints", "_supported_arg_names"):
            getattr(_AttentionBackendRegistry, table).pop(_ROUTED, None)

    return undo


def _run(query: Tensor, key: Tensor, value: Tensor, number: Tensor) -> Tensor:
    compute, before = _ROUTES[int(number)]
    # Contiguous as the fake says: compiled code relies on it.
    return compute(query, key, value, before).contiguous()


def _infer(query: Tensor, key: Tensor, value: Tensor, number: Tensor) -> Tensor:
    return torch.empty(query.shape, dtype=query.dtype, device=query.device)


_OPERATOR = torch.library.custom_op(
    "sol::routed_attention",
    _run,
    mutates_args=(),
    schema="(Tensor query, Tensor key, Tensor value, Tensor number) -> Tensor",
)
_OPERATOR.register_fake(_infer)
