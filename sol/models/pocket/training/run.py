"""The whole training, from random weights to a pipeline folder with pictures."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import LTXPipeline

from sol.models.pocket.architecture import build_pipeline
from sol.models.pocket.prompts import held_out_prompts
from sol.models.pocket.sampling import generate
from sol.models.pocket.training.autoencoder import train_vae
from sol.models.pocket.training.denoiser import train_denoiser
from sol.models.pocket.training.export import export_weights
from sol.models.pocket.training.plots import plot_losses, plot_samples
from sol.models.pocket.training.replicas import Replica
from sol.models.pocket.training.setting import Setting
from sol.models.pocket.training.text_encoder import train_text_encoder

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
