"""The training command: `python -m sol.models.pocket.training --out DIR`.

Trains the autoencoder, then the denoiser with its text encoder, each for a budget of minutes.
A second call with the same arguments resumes from the checkpoints in DIR.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

import torch
from diffusers import LTXPipeline

from sol.models.pocket.architecture import build_pipeline
from sol.models.pocket.denoiser_training import train_denoiser
from sol.models.pocket.export import export_weights
from sol.models.pocket.plots import plot_losses, plot_samples
from sol.models.pocket.prompts import held_out_prompts
from sol.models.pocket.replicas import Replica, run_replicas
from sol.models.pocket.sampling import generate
from sol.models.pocket.vae_training import train_vae

_N_SHOWN = 16


def main() -> None:
    """Parses the command line and trains."""
    parser = argparse.ArgumentParser(description="Trains the pocket model.")
    parser.add_argument("--out", type=Path, required=True, help="checkpoints and results")
    parser.add_argument("--minutes-vae", type=float, default=20.0)
    parser.add_argument("--minutes-denoiser", type=float, default=80.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--processes", type=int, default=2, help="one thread each; the batch grows with them"
    )
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    minutes = (arguments.minutes_vae, arguments.minutes_denoiser)
    run_replicas(
        arguments.processes, functools.partial(train, arguments.out, minutes, arguments.seed)
    )


def train(out: Path, minutes: tuple[float, float], seed: int, replica: Replica) -> None:
    """Trains everything and leaves `weights/`, `losses.png` and `samples.png` in `out`.

    Args:
        out: Folder of the checkpoints and results.
        minutes: Budgets of the autoencoder and of the denoiser.
        seed: Of the weights at the start and of all data.
        replica: This process among those that train together.
    """
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    pipeline = build_pipeline()
    pipeline.register_modules(vae=train_vae(out, minutes[0], seed, replica, _say))
    train_denoiser(out, minutes[1], seed, replica, pipeline, functools.partial(_export, out), _say)
    replica.wait()


def _export(out: Path, pipeline: LTXPipeline) -> None:
    """Leaves the weights as they are by now, with pictures of them."""
    export_weights(pipeline, out / "weights")
    states = {name: torch.load(out / f"{name}.pt") for name in ("vae", "denoiser")}
    plot_losses({name: state["losses"] for name, state in states.items()}, out / "losses.png")
    prompts = held_out_prompts(_N_SHOWN)
    plot_samples(list(generate(pipeline, prompts)), prompts, out / "samples.png")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
