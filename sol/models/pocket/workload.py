"""The two workloads that the pocket model is trained for: their sizes and sampling settings."""

from __future__ import annotations

from dataclasses import dataclass

SPATIAL_COMPRESSION = 8
TEMPORAL_COMPRESSION = 4


@dataclass(frozen=True)
class ClipShape:
    """How long and how large a clip is, in frames and pixels."""

    num_frames: int
    height: int
    width: int

    @property
    def latent_grid(self) -> tuple[int, int, int]:
        """Latent frames, rows and columns: one token each."""
        return (
            (self.num_frames - 1) // TEMPORAL_COMPRESSION + 1,
            self.height // SPATIAL_COMPRESSION,
            self.width // SPATIAL_COMPRESSION,
        )


SHORT = ClipShape(num_frames=17, height=64, width=64)
"""320 tokens: `--model pocket`."""

LONG = ClipShape(num_frames=33, height=96, width=96)
"""1,296 tokens: `--model pocket-long`. The same motions, on a larger picture and twice as long."""

FRAME_RATE = 16
NUM_STEPS = 24
GUIDANCE_SCALE = 3.0
SIGMA_SHIFT = 1.5
"""`mu` of the scheduler: added to the logit of every noise level, in training and sampling."""
MAX_SEQUENCE_LENGTH = 32

ROPE_INTERPOLATION_SCALE = (
    TEMPORAL_COMPRESSION / FRAME_RATE,
    SPATIAL_COMPRESSION,
    SPATIAL_COMPRESSION,
)
"""As `LTXPipeline` passes it to the transformer: seconds per latent frame, then pixels twice."""
