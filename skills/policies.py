"""What each skill's agent starts from: the bound that the diagnosis puts on its gain.

Imports no torch: agents run in processes without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sol.diagnosis import Diagnosis

# int8 multiply-accumulate at four times the rate of float32 (VNNI; one byte instead of four).
_INT8_GAIN = 4.0


@dataclass(frozen=True)
class Policy:
    """The upper bound of a skill on a target, and how it is argued."""

    skill: str
    bound: Callable[[Diagnosis], float]
    argument: str


def _cache_bound(diagnosis: Diagnosis) -> float:
    return diagnosis.bound_if_free(diagnosis.denoise_s)


def _quantization_bound(diagnosis: Diagnosis) -> float:
    return diagnosis.bound_if_free(diagnosis.linear_s * (1 - 1 / _INT8_GAIN))


def _fusion_bound(diagnosis: Diagnosis) -> float:
    return diagnosis.bound_if_free(diagnosis.denoise_s - diagnosis.linear_s)


POLICIES: Mapping[str, Policy] = MappingProxyType(
    {
        policy.skill: policy
        for policy in (
            Policy("cache", _cache_bound, "no denoiser call at all"),
            Policy("quantization", _quantization_bound, "linear layers four times as fast"),
            Policy("kernel_fusion", _fusion_bound, "nothing but the linear layers left"),
        )
    }
)
