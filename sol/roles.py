"""Roles: what the parts of a pipeline are to a technique, whatever their classes are called.

Agents know of roles and import no torch: what needs it imports it when it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch
    from torch import nn

    from sol.call_form import CallForm

Guidance = Literal["batched", "two_call", "none"]
"""How a pipeline guides: one call over [unconditional, conditional] along the batch, or a call for
each branch, the conditional one first; both as diffusers does it."""


class Capability(StrEnum):
    """What a technique may need from a pipeline or from the machine it runs on."""

    STEP_OUTPUT = "step_output"
    BLOCK_RESIDUAL = "block_residual"
    MODULATED_INPUT = "modulated_input"
    GUIDANCE_BRANCHES = "guidance_branches"
    SELF_ATTENTION = "self_attention"
    TEXT_FREE_ATTENTION = "text_free_attention"
    GRID_ATTENTION = "grid_attention"
    TOKEN_SET = "token_set"
    COARSE_GRID = "coarse_grid"
    GIVEN_TOKENS = "given_tokens"
    PROMPT_PROJECTION = "prompt_projection"
    ROTARY_TABLE = "rotary_table"
    MODULATION = "modulation"
    TEXT_CROSS_ATTENTION = "text_cross_attention"
    REPEATED_BLOCKS = "repeated_blocks"
    LINEAR_FEED_FORWARD = "linear_feed_forward"
    CUDA = "cuda"
    INDUCTOR = "inductor"
    INT8_DYNAMIC_CPU = "int8_dynamic_cpu"
    INT8_VNNI = "int8_vnni"
    PACKED_LINEAR_CPU = "packed_linear_cpu"
    ATTENTION_BACKENDS = "attention_backends"
    TORCHAO = "torchao"
    INT8_TORCHAO = "int8_torchao"
    FP8_TORCHAO = "fp8_torchao"
    INT4_TORCHAO = "int4_torchao"
    NVFP4_TORCHAO = "nvfp4_torchao"
    BFLOAT16 = "bfloat16"
    AUTOCAST = "autocast"
    DIFFUSERS_CACHE = "diffusers_cache"
    CACHE_DIT = "cache_dit"


@dataclass(frozen=True)
class CrossAttention:
    """One cross-attention over the text.

    Attributes:
        text_only: Modules inside it whose output depends on the text alone (to_k, to_v, norm_k).
    """

    module: nn.Module
    text_only: tuple[nn.Module, ...]


AttentionKind = Literal["self", "cross", "other"]
"""Over the hidden states themselves, over the text, or neither: of sound, and between the two."""


@dataclass(frozen=True)
class AttentionSite:
    """An attention that goes through diffusers' dispatch.

    Attributes:
        module: Its `processor` says which back-end computes it.
        is_masked: Whether it is called with a mask.
    """

    module: Any
    kind: AttentionKind
    head_dim: int
    is_masked: bool


GELUForm = Literal["none", "tanh"]
"""GELU as it is defined, or its approximation by tanh; both as PyTorch names them."""


@dataclass(frozen=True)
class GELUProjection:
    """A module that computes gelu(linear(x)) and nothing else."""

    module: nn.Module
    linear: nn.Module
    form: GELUForm


@dataclass(frozen=True)
class PublishedTeaCache:
    """A published TeaCache calibration.

    Attributes:
        coefficients: Of its polynomial, degree 4 first.
        signal: "modulated_input" or "timestep": what it was fitted on.
        thresholds: Published with it, the gentlest first.
    """

    coefficients: tuple[float, float, float, float, float]
    signal: Literal["modulated_input", "timestep"]
    thresholds: tuple[float, ...]


@dataclass(frozen=True)
class LatentGrid:
    """How an output that is no grid, a sequence of tokens above all, is laid out as one.

    Attributes:
        to_grid: (output, args, kwargs of the denoiser's forward) -> the same values as
            (batch, channels, frames, height, width).
        from_grid: Its inverse.
    """

    to_grid: Callable[[torch.Tensor, tuple[Any, ...], Mapping[str, Any]], torch.Tensor]
    from_grid: Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class TokenGrid:
    """What the hidden states of a call are: text, the latent grid, text; in this order.

    Attributes:
        frames: Of the grid, whose tokens run over the width first, over the frames last.
        n_before: Tokens before the grid; none where text enters by cross-attention.
        n_after: Tokens after it.
    """

    frames: int
    height: int
    width: int
    n_before: int = 0
    n_after: int = 0

    @property
    def sizes(self) -> tuple[int, int, int]:
        return self.frames, self.height, self.width

    @property
    def n_tokens(self) -> int:
        """All tokens, text among them."""
        return self.n_before + self.frames * self.height * self.width + self.n_after


Call = tuple[tuple[Any, ...], dict[str, Any]]
"""Arguments of a denoiser's forward, by position and by name."""


@dataclass(frozen=True)
class DenoiserRoles:
    """The parts of one denoiser.

    Attributes:
        name: The pipeline's attribute that holds it.
        latents: Name of the forward argument with the noisy latents.
        text: Name of the forward argument with the text states.
        blocks: The repeated transformer blocks, in order. Each maps its hidden states,
            (batch, tokens, width) where nothing else is said, to new ones of the same shape.
        hidden: Name of a block's forward argument with the hidden states.
        feed_forward: Linear layers of each block's feed-forward, one tuple a block.
        self_projections: Linear layers that make query, key and value of each block's
            self-attention, in this order; one tuple a block.
        self_output: Linear layers behind each block's self-attention, one tuple a block.
        cross_projections: Linear layers around each block's cross-attention (query, key, value,
            output), one tuple a block.
        self_attention: The self-attention of each block; in some families the text takes part in
            it (then there is no `Capability.TEXT_FREE_ATTENTION`).
        modulated_input: (args, kwargs of the first block) -> the input of its self-attention,
            normalised and modulated by the timestep; None where the family has none.
        timestep_embedding: Name of the blocks' forward argument that carries the timestep; None
            where the tokens do.
        published_teacache: Where one was published for exactly this denoiser.
        prompt_projection: Modules before the blocks whose output depends on the text alone.
        rotary: Module that makes the rotary tables from the shape of the latents, if there is one.
        modulation: Modules before the blocks whose output depends on the timestep alone.
        grid: How the output is laid out in space; None where it already is
            (batch, channels, frames, height, width).
        gelu_projections: Modules inside of blocks that are a linear layer and the GELU after it.
        attention_sites: Attentions of the blocks that go through diffusers' dispatch, in order.
            Those of the kind "self" are softmax attentions over the whole grid.
        token_grid: (args, kwargs of the denoiser's forward) -> the grid of its blocks' tokens.
        token_arguments: Names of a block's forward arguments that hold, along axis 1, a row for
            each token, or one row for all; empty where tokens cannot be left out.
        token_axes: Of these arguments, those that have their rows along another axis than 1.
        resize_call: (call of the denoiser, (frames, height, width)) -> the call for latents of
            that grid, the latents themselves staying to be replaced (channels beside them are on
            that grid). Where positions can be told, they are stretched over the same space and
            time.
        given_tokens: (args, kwargs of the denoiser's forward) -> bool (batch, tokens of the grid):
            whose latents are known and stay as they are; None where the whole video is made.
        read_prediction: What the denoiser returned -> what guidance and the scheduler make use of.
        own_form: How the denoiser is called, where it maps more than its latents.
        own_block_form: How a block is called, where it maps more than its hidden states: text or
            sound beside the video.
    """

    name: str
    module: nn.Module
    latents: str
    text: str
    blocks: tuple[nn.Module, ...]
    cross_attention: tuple[CrossAttention, ...]
    feed_forward: tuple[tuple[nn.Module, ...], ...]
    self_projections: tuple[tuple[nn.Module, ...], ...]
    self_output: tuple[tuple[nn.Module, ...], ...]
    cross_projections: tuple[tuple[nn.Module, ...], ...]
    hidden: str
    self_attention: tuple[nn.Module, ...]
    modulated_input: Callable[[tuple[Any, ...], Mapping[str, Any]], torch.Tensor] | None
    timestep_embedding: str | None
    prompt_projection: tuple[nn.Module, ...]
    rotary: nn.Module | None
    modulation: tuple[nn.Module, ...]
    token_grid: Callable[[tuple[Any, ...], Mapping[str, Any]], TokenGrid]
    published_teacache: PublishedTeaCache | None = None
    grid: LatentGrid | None = None
    gelu_projections: tuple[GELUProjection, ...] = ()
    attention_sites: tuple[AttentionSite, ...] = ()
    token_arguments: tuple[str, ...] = ()
    token_axes: Mapping[str, int] = field(default_factory=dict)
    resize_call: Callable[[Call, tuple[int, int, int]], Call] | None = None
    given_tokens: Callable[[tuple[Any, ...], Mapping[str, Any]], torch.Tensor] | None = None
    read_prediction: Callable[[Any], torch.Tensor] = itemgetter(0)
    own_form: CallForm | None = None
    own_block_form: CallForm | None = None

    @property
    def form(self) -> CallForm:
        """How the denoiser is called: latents to the prediction for them."""
        from sol.call_form import denoiser_form

        return self.own_form or denoiser_form(self.module, self.latents)

    @property
    def block_form(self) -> CallForm:
        """How a block is called: hidden states to new ones."""
        from sol.call_form import block_form

        return self.own_block_form or block_form(self.blocks[0], self.hidden)

    @property
    def grid_attention(self) -> tuple[AttentionSite, ...]:
        """The softmax self-attentions over the latent grid in which no mask hides a token."""
        sites = self.attention_sites
        return tuple(site for site in sites if site.kind == "self" and not site.is_masked)

    @property
    def linears_by_kind(self) -> Mapping[str, tuple[tuple[nn.Module, ...], ...]]:
        """The linear layers inside of blocks by the names that recipes have for their kinds."""
        return {
            "feed_forward": self.feed_forward,
            "qkv": self.self_projections,
            "out": self.self_output,
            "cross": self.cross_projections,
        }

    @property
    def block_linears(self) -> tuple[nn.Module, ...]:
        """The linear layers inside of blocks that are of a kind."""
        kinds = self.linears_by_kind.values()
        return tuple(layer for kind in kinds for block in kind for layer in block)

    @property
    def outer_linears(self) -> tuple[nn.Module, ...]:
        """All other linear layers, in order: embedders, final layer, modulation in blocks too."""
        from torch import nn

        named = {child for layer in self.block_linears for child in layer.modules()}
        linears = (m for m in self.module.modules() if isinstance(m, nn.Linear))
        return tuple(layer for layer in linears if layer not in named)


@dataclass(frozen=True)
class Roles:
    """What a pipeline offers to techniques.

    Attributes:
        lacks: Capabilities that are absent, each with the reason a user can read.
        is_guided: Whether the pipeline makes its present video with classifier-free guidance;
            asked when its timesteps are set.
        guidance_weight: (guidance scale) -> w, where the guided prediction is v_u + w (v_c - v_u)
            of the unconditional and the conditional one.
        names_branches: Whether the pipeline tells a denoiser the branch of each call; otherwise
            the order of a step's calls says it, the conditional one being first.
        is_inspected: Whether they were found by looking at the pipeline, with no adapter.
    """

    family: str
    denoisers: tuple[DenoiserRoles, ...]
    guidance: Guidance
    capabilities: frozenset[Capability]
    lacks: Mapping[Capability, str] = field(default_factory=dict)
    names_branches: bool = True
    is_inspected: bool = False
    is_guided: Callable[[Any], bool] = lambda pipeline: bool(pipeline.do_classifier_free_guidance)
    guidance_weight: Callable[[float], float] = lambda scale: scale
