"""The one workload the pocket model is trained for: its sizes and sampling settings."""

HEIGHT = 64
WIDTH = 64
NUM_FRAMES = 17
FRAME_RATE = 16
NUM_STEPS = 24
GUIDANCE_SCALE = 3.0
SIGMA_SHIFT = 1.5
"""`mu` of the scheduler: added to the logit of every noise level, in training and sampling."""
MAX_SEQUENCE_LENGTH = 32

SPATIAL_COMPRESSION = 8
TEMPORAL_COMPRESSION = 4
LATENT_HEIGHT = HEIGHT // SPATIAL_COMPRESSION
LATENT_WIDTH = WIDTH // SPATIAL_COMPRESSION
LATENT_FRAMES = (NUM_FRAMES - 1) // TEMPORAL_COMPRESSION + 1
NUM_TOKENS = LATENT_FRAMES * LATENT_HEIGHT * LATENT_WIDTH

ROPE_INTERPOLATION_SCALE = (
    TEMPORAL_COMPRESSION / FRAME_RATE,
    SPATIAL_COMPRESSION,
    SPATIAL_COMPRESSION,
)
"""As `LTXPipeline` passes it to the transformer: seconds per latent frame, then pixels twice."""
