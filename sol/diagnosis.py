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
    """

    total_s: float
    denoise_s: float
    linear_s: float
    decode_s: float
    text_s: float
    part_s: Mapping[str, float] = field(default_factory=dict)
    redundancy: Redundancy | None = None

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

    def bound_if_free(self, seconds: float) -> float:
        """Amdahl's bound on the speed-up if `seconds` of the total vanished."""
        return self.total_s / max(self.total_s - seconds, 1e-9)
