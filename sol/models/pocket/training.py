"""The training command: `python -m sol.models.pocket.training --out DIR`.

Trains the autoencoder, then the denoiser with its text encoder, each for a budget of minutes.
A second call with the same arguments resumes from the checkpoints in DIR.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sol.models.pocket.architecture import build_pipeline
from sol.models.pocket.denoiser_training import train_denoiser
from sol.models.pocket.evaluation import Accuracy, generate, measure_accuracy
from sol.models.pocket.export import export_weights
from sol.models.pocket.plots import plot_losses, plot_samples
from sol.models.pocket.prompts import held_out_prompts, held_out_scenes
from sol.models.pocket.vae_training import measure_psnr_db, train_vae

_N_PROMPTS = 40
_N_SHOWN = 16


def main() -> None:
    """Parses the command line and trains."""
    parser = argparse.ArgumentParser(description="Trains the pocket model.")
    parser.add_argument("--out", type=Path, required=True, help="checkpoints and results")
    parser.add_argument("--minutes-vae", type=float, default=10.0)
    parser.add_argument("--minutes-denoiser", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    train(arguments.out, arguments.minutes_vae, arguments.minutes_denoiser, arguments.seed)


def train(out: Path, minutes_vae: float, minutes_denoiser: float, seed: int) -> None:
    """Trains everything and leaves `weights/`, `losses.png` and `samples.png` in `out`."""
    torch.manual_seed(seed)
    pipeline = build_pipeline()
    pipeline.register_modules(vae=train_vae(out, minutes_vae, seed, _say))
    _say(f"round trip {measure_psnr_db(pipeline.vae, seed):.2f} dB")
    train_denoiser(
        out, minutes_denoiser, seed, pipeline, lambda p: export_weights(p, out / "weights"), _say
    )
    videos = generate(pipeline, held_out_prompts(_N_PROMPTS))
    _report(out, videos, measure_accuracy(videos, held_out_scenes(_N_PROMPTS)))


def _report(out: Path, videos: list[NDArray[np.float32]], accuracy: Accuracy) -> None:
    _say(f"colour {accuracy.colour:.0%}, direction {accuracy.direction:.0%}")
    plot_samples(videos[:_N_SHOWN], held_out_prompts(_N_SHOWN), out / "samples.png")
    checkpoints = {name: torch.load(out / f"{name}.pt") for name in ("vae", "denoiser")}
    losses = {name: checkpoint["losses"] for name, checkpoint in checkpoints.items()}
    plot_losses(losses, out / "losses.png")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
