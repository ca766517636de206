"""Pictures of a training run: the loss curves and a grid of samples."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

_N_SHOWN_FRAMES = 5


def plot_losses(losses: dict[str, list[float]], path: Path, window: int = 25) -> None:
    """Draws each named curve, averaged over `window` steps, in its own panel."""
    figure = Figure(figsize=(5 * len(losses), 3.5))
    axes = figure.subplots(1, len(losses), squeeze=False)
    for axis, (name, values) in zip(axes[0], losses.items(), strict=True):
        kept = values[: len(values) // window * window]
        means = np.asarray(kept).reshape(-1, window).mean(axis=1)
        axis.semilogy((np.arange(len(means)) + 1) * window, means)
        axis.set(title=name, xlabel="step", ylabel="loss")
    figure.tight_layout()
    figure.savefig(path)


def plot_samples(
    videos: list[NDArray[np.float32]], titles: list[str], path: Path, n_columns: int = 2
) -> None:
    """Draws five frames of each video, (frames, height, width, 3) in [0, 1], under its title."""
    n_rows = -(-len(videos) // n_columns)
    figure = Figure(figsize=(5 * n_columns, 1.3 * n_rows))
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, video, title in zip(axes.flat, videos, titles, strict=False):
        shown = np.linspace(0, len(video) - 1, _N_SHOWN_FRAMES).round().astype(int)
        axis.imshow(np.concatenate(list(video[shown]), axis=1))
        axis.set_title(title, fontsize=6)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
