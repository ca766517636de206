"""The norms of stock models as patterns; each notes its input `x`, its `weight` and `eps`."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch.nn import functional

from sol.skills.kernel_fusion.rewriting.graph_patterns import (
    OneOf,
    Variable,
    call,
    is_node,
    is_number,
)


def _is_one_axis(shape: Any) -> bool:
    return len(shape) == 1


def _is_node_or_none(value: Any) -> bool:
    return value is None or is_node(value)


_X, _EPS, _OVER = Variable("x"), Variable("eps", is_number), Variable("over", _is_one_axis)
_WEIGHT = Variable("weight", _is_node_or_none)

_RMS = call(torch.rms_norm, _X, _OVER, _WEIGHT, _EPS)
RMS_WITH_WEIGHT = call(torch.rms_norm, _X, _OVER, Variable("weight"), _EPS)

# As diffusers' own RMSNorm writes it out.
_MEAN_SQUARE = call("mean", call("pow", _X, 2), -1, keepdim=True)
_RSQRT = call(torch.rsqrt, call(operator.add, _MEAN_SQUARE, _EPS))
_RMS_WRITTEN_OUT = call(operator.mul, _X, _RSQRT)

_LAYER = call(functional.layer_norm, _X, _OVER, _WEIGHT, None, _EPS)
_LAYER_WITH_BIAS = call(functional.layer_norm, _X, _OVER, _WEIGHT, Variable("shift"), _EPS)

NORM = OneOf("norm", (("rms", _RMS), ("rms", _RMS_WRITTEN_OUT), ("layer", _LAYER)))
"""Without a bias; notes its kind as `norm`."""

NORM_WITH_BIAS = OneOf("norm", (("layer", _LAYER_WITH_BIAS),))
"""Notes its kind as `norm` and its bias as `shift`, which is what it is without a scale."""
