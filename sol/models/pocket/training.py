"""The training command: `python -m sol.models.pocket.training --out DIR`.

Trains the autoencoder for a budget of minutes, the text encoder for a minute, and the denoiser for
a budget of minutes. A second call with the same arguments resumes from the checkpoints in DIR.
"""

from __future__ import annotations

import argparse
import functools
from dataclasses import dataclass
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
from sol.models.pocket.setting import Setting
from sol.models.pocket.text_training import train_text_encoder
from sol.models.pocket.vae_training import train_vae

N_TEXT_STEPS = 600
_N_SHOWN = 16


@dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes:
        minutes: Budgets of the autoencoder and of the denoiser.
    """

    out: Path
    minutes: tuple[float, float]
    seed: int
    device: str
    batch: int


def main() -> None:
    """Parses the command line and trains."""
    parser = argparse.ArgumentParser(description="Trains the pocket model.")
    parser.add_argument("--out", type=Path, required=True, help="checkpoints and results")
    parser.add_argument("--minutes-vae", type=float, default=20.0)
    parser.add_argument("--minutes-denoiser", type=float, default=80.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, default=16, help="clips a step and process")
    parser.add_argument("--processes", type=int, help="one thread each; 2 on a CPU, 1 on a GPU")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    options = Options(
        out=arguments.out,
        minutes=(arguments.minutes_vae, arguments.minutes_denoiser),
        seed=arguments.seed,
        device=arguments.device,
        batch=arguments.batch,
    )
    count = arguments.processes or (2 if options.device == "cpu" else 1)
    run_replicas(count, functools.partial(train, options))


def train(options: Options, replica: Replica) -> None:
    """Trains everything and leaves `weights/`, `losses.png` and `samples.png` in the folder."""
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    device = torch.device(options.device)
    setting = Setting(options.out, options.seed, device, options.batch, replica, _say)
    pipeline = build_pipeline().to(device)
    pipeline.register_modules(vae=train_vae(setting, options.minutes[0]))
    pipeline.register_modules(text_encoder=train_text_encoder(setting, pipeline, N_TEXT_STEPS))
    train_denoiser(setting, options.minutes[1], pipeline, functools.partial(_export, options.out))
    replica.wait()


def _export(out: Path, pipeline: LTXPipeline) -> None:
    """Leaves the weights as they are by now, with pictures of them."""
    export_weights(pipeline, out / "weights")
    states = {
        name: torch.load(out / f"{name}.pt", map_location="cpu")
        for name in ("vae", "text_encoder", "denoiser")
    }
    plot_losses({name: state["losses"] for name, state in states.items()}, out / "losses.png")
    prompts = held_out_prompts(_N_SHOWN)
    plot_samples(list(generate(pipeline, prompts)), prompts, out / "samples.png")


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
