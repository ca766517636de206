"""Roles: what the parts of a pipeline are to a technique, whatever their classes are called."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

Guidance = Literal["batched", "two_call", "none"]


class Capability(StrEnum):
    """What a technique may need from a pipeline or from the machine it runs on."""

    STEP_OUTPUT = "step_output"
    TEXT_CROSS_ATTENTION = "text_cross_attention"
    REPEATED_BLOCKS = "repeated_blocks"
    LINEAR_FEED_FORWARD = "linear_feed_forward"
    CUDA = "cuda"
    INDUCTOR = "inductor"
    INT8_DYNAMIC_CPU = "int8_dynamic_cpu"


@dataclass(frozen=True)
class CrossAttention:
    """One cross-attention over the text.

    Attributes:
        text_only: Modules inside it whose output depends on the text alone (to_k, to_v, norm_k).
    """

    module: nn.Module
    text_only: tuple[nn.Module, ...]


@dataclass(frozen=True)
class DenoiserRoles:
    """The parts of one denoiser.

    Attributes:
        name: The pipeline's attribute that holds it.
        latents: Name of the forward argument with the noisy latents.
        text: Name of the forward argument with the text states.
        blocks: The repeated transformer blocks, in order.
        feed_forward: Linear layers of each block's feed-forward, one tuple a block.
        attention_projections: Linear layers around each block's attentions, one tuple a block.
    """

    name: str
    module: nn.Module
    latents: str
    text: str
    blocks: tuple[nn.Module, ...]
    cross_attention: tuple[CrossAttention, ...]
    feed_forward: tuple[tuple[nn.Module, ...], ...]
    attention_projections: tuple[tuple[nn.Module, ...], ...]


@dataclass(frozen=True)
class Roles:
    """What a pipeline offers to techniques.

    Attributes:
        lacks: Capabilities that are absent, each with the reason a user can read.
    """

    family: str
    denoisers: tuple[DenoiserRoles, ...]
    guidance: Guidance
    capabilities: frozenset[Capability]
    lacks: Mapping[Capability, str] = field(default_factory=dict)
