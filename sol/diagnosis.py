"""What one baseline run says about a target, as data. `sol.measure` fills it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Redundancy:
    """How much of a step is already in the steps before it: means over a few baseline videos.

    T is the number of steps, x_t the latents at step t, v_t the guided prediction there.

    Attributes:
        n_videos: How many were recorded.
        positions: Noise level of each step, or its index where the scheduler has none; T.
        gram: Inner products of (x_0 .. x_{T-1}, v_0 .. v_{T-1}), 2T x 2T, each video's scaled so
            that the mean of |v_t|^2 is 1. The squared error of any linear prediction of v_t
            follows from it.
        output_change: |v_t - v_{t-1}|_1 / |v_{t-1}|_1 from step 1 on; T - 1.
        block_change: The same of each block's residual, one row a block.
        signal_change: The same of what an adaptive cache may watch: "modulated_input" and
            "timestep", the timestep embedding that the blocks are given.
        magnitude_ratio: By guidance branch, mean over tokens of |r_t| / |r_{t-1}|, with r the
            residual of all blocks together; T, beginning with 1.
        guidance_gap: |c_t - u_t|_1 / |u_t|_1 of the conditional and unconditional prediction at
            each step; empty without guidance.
    """

    n_videos: int
    positions: tuple[float, ...]
    gram: tuple[tuple[float, ...], ...]
    output_change: tuple[float, ...]
    block_change: tuple[tuple[float, ...], ...]
    signal_change: Mapping[str, tuple[float, ...]]
    magnitude_ratio: Mapping[str, tuple[float, ...]]
    guidance_gap: tuple[float, ...]


HeadTable = tuple[tuple[tuple[float, ...], ...], ...]
"""[layer][head][density]."""


@dataclass(frozen=True)
class AttentionSparsity:
    """How much of the self-attention over the grid is in few blocks of keys.

    Means over the conditional branch of a few steps of a few baseline videos, and over sampled
    blocks of queries.

    Attributes:
        n_videos: How many were recorded.
        sizes: Frames, rows and columns of the grid of tokens.
        order: In which tokens were cut into blocks; a name that sparse attentions know.
        block: Tokens of a block.
        densities: Shares of the blocks of keys that a block of queries keeps, ascending; each is
            a whole number of blocks.
        mass: Attention that falls on the best so many blocks: no choice of them can keep more.
        error: By what stands for the blocks that are left out, "drop" (nothing) or "mean" (the
            mean of each): |o' - o| / |o| of a head's output o where blocks are chosen by the
            scores of their means.
        compared_density: The one at which choices were compared with one another.
        overlap: By lag, share of the blocks chosen at a step that were chosen so many steps
            before as well, one a layer. What is kept in any case does not count. A lag at which
            no two steps were recorded is left out.
        prompt_overlap: The same of two videos at one step; empty where one was recorded.
        overlap_by_lot: What it would be if blocks were drawn.
    """

    n_videos: int
    sizes: tuple[int, int, int]
    order: str
    block: int
    densities: tuple[float, ...]
    mass: HeadTable
    error: Mapping[str, HeadTable]
    compared_density: float
    overlap: Mapping[int, tuple[float, ...]]
    prompt_overlap: tuple[float, ...]
    overlap_by_lot: float

    def compared(self, table: HeadTable) -> tuple[tuple[float, ...], ...]:
        """`mass`, or one of `error`, at the density of the comparison: [layer][head]."""
        place = self.densities.index(self.compared_density)
        return tuple(tuple(head[place] for head in layer) for layer in table)


@dataclass(frozen=True)
class Settling:
    """How early each token of the grid is what it will be: means over a few baseline videos.

    x0_t = x_t - sigma_t v_t is the clean video that step t of T points at. A token changes by
    |x0_t - x0_{t-1}|, as a share of the root mean square of |x0_{T-1}| over all tokens.

    Attributes:
        n_videos: How many were recorded.
        tau: Changes below it count as none.
        settled: By step, share of the tokens that change by less than tau at every later step; T,
            ending with 1.
        change: Mean change over the tokens, from step 1 on; T - 1.
        spread: Mean change of the quarter of the tokens that changes least over that of the
            quarter that changes most, from step 1 on; T - 1. Where it is 1 no token is ahead.
        settling_step: [frame][row][column] of a coarse grid, mean step by which a token settles.
    """

    n_videos: int
    tau: float
    settled: tuple[float, ...]
    change: tuple[float, ...]
    spread: tuple[float, ...]
    settling_step: tuple[tuple[tuple[float, ...], ...], ...]


@dataclass(frozen=True)
class Diagnosis:
    """Where the time goes and where the redundancy is.

    Attributes:
        total_s: Seconds for one video, end to end.
        denoise_s: Seconds of it inside the denoiser.
        linear_s: Seconds of it inside linear layers of the denoiser's blocks.
        decode_s: Seconds of it decoding latents to frames.
        text_s: Seconds of it encoding text.
        part_s: Seconds of the total inside some parts of the denoiser, by name:
            "self_attention", "cross_attention", "text_projection" (keys and values of the text),
            "prompt_projection", "rotary_table", "modulation"; linear layers of blocks by kind:
            "feed_forward", "qkv", "out", "cross".
        redundancy: Between the steps, the blocks and the guidance branches, if it was recorded.
        attention: Inside of self-attention; None where there is no softmax attention over blocks.
        settling: Between the tokens; None where steps point at no clean video.
    """

    total_s: float
    denoise_s: float
    linear_s: float
    decode_s: float
    text_s: float
    part_s: Mapping[str, float] = field(default_factory=dict)
    redundancy: Redundancy | None = None
    attention: AttentionSparsity | None = None
    settling: Settling | None = None

    @property
    def output_change(self) -> tuple[float, ...]:
        """See `Redundancy`; empty where it was not recorded."""
        return self.redundancy.output_change if self.redundancy is not None else ()

    @property
    def beyond_first_block_s(self) -> float:
        """Seconds inside all blocks but the first, all of them being alike.

        What is outside of blocks is small and counted with them; all of the denoiser where the
        number of blocks was not recorded.
        """
        n_blocks = len(self.redundancy.block_change) if self.redundancy is not None else 0
        return self.denoise_s * (1 - 1 / n_blocks) if n_blocks else self.denoise_s

    @property
    def bare_attention_s(self) -> float:
        """Seconds inside self-attention but outside of its linear layers."""
        projections = sum(self.part_s.get(kind, 0.0) for kind in ("qkv", "out"))
        return max(self.part_s.get("self_attention", 0.0) - projections, 0.0)

    def bound_if_free(self, seconds: float) -> float:
        """Amdahl's bound on the speed-up if `seconds` of the total vanished."""
        return self.total_s / max(self.total_s - seconds, 1e-9)
