import numpy as np
import pytest

N_PROMPTS, N_SEEDS = 12, 2
FRAMES, SIDE = 9, 48


def moving_shapes(prompt, seed):
    """A coloured disc that crosses a coloured, textured background."""
    rng = np.random.default_rng([prompt, seed])
    background, colour = rng.uniform(0.1, 0.5, 3), rng.uniform(0.5, 1.0, 3)
    texture = rng.uniform(-0.08, 0.08, (SIDE, SIDE, 1))
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    start, speed, radius = rng.uniform(10, 16, 2), rng.uniform(1.5, 2.5, 2), rng.uniform(7, 11)
    frames = []
    for t in range(FRAMES):
        centre = start + speed * t
        inside = np.clip(radius - np.hypot(x - centre[0], y - centre[1]), 0, 1)[..., None]
        frames.append(background * (1 - inside) + colour * inside + texture)
    return np.clip(frames, 0, 1).astype(np.float32)


@pytest.fixture(scope="session")
def clip_set():
    """(prompt, seed) to frames: 12 prompts, 2 seeds."""
    pairs = [(p, s) for p in range(N_PROMPTS) for s in range(N_SEEDS)]
    return {pair: moving_shapes(*pair) for pair in pairs}
