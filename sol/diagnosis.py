"""What one baseline run says about a target, as data. `sol.measure` fills it in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Diagnosis:
    """Where the time goes and where the redundancy is.

    Attributes:
        total_s: Seconds for one video, end to end.
        denoise_s: Seconds of it inside the denoiser.
        linear_s: Seconds of it inside linear layers of the denoiser's blocks.
        decode_s: Seconds of it decoding latents to frames.
        text_s: Seconds of it encoding text.
        output_change: Relative L1 change of the denoiser's output at each step against the
            step before, from step 1 on (length n_steps - 1).
        part_s: Seconds of the total inside some parts of the denoiser, by name:
            "self_attention", "cross_attention", "text_projection" (keys and values of the text),
            "prompt_projection", "rotary_table", "modulation".
        block_growth: Mean ratio of the norm of what all blocks add to a token's hidden state to
            that of the step before, at each step, the first being 1; empty where not measured.
    """

    total_s: float
    denoise_s: float
    linear_s: float
    decode_s: float
    text_s: float
    output_change: tuple[float, ...]
    part_s: Mapping[str, float] = field(default_factory=dict)
    block_growth: tuple[float, ...] = ()

    def bound_if_free(self, seconds: float) -> float:
        """Amdahl's bound on the speed-up if `seconds` of the total vanished."""
        return self.total_s / max(self.total_s - seconds, 1e-9)
