"""The training command: `python -m sol.models.pocket.training --out DIR`.

Trains the autoencoder for a budget of minutes, the text encoder for a minute, and the denoiser for
a budget of minutes. A second call with the same arguments resumes from the checkpoints in DIR.
"""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

from sol.models.pocket.training.replicas import run_replicas
from sol.models.pocket.training.run import Options, train


def main() -> None:
    """Parses the command line and trains."""
    parser = argparse.ArgumentParser(description="Trains the pocket model.")
    parser.add_argument("--out", type=Path, required=True, help="checkpoints and results")
    parser.add_argument("--minutes-vae", type=float, default=20.0)
    parser.add_argument("--minutes-denoiser", type=float, default=158.0)
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


if __name__ == "__main__":
    main()
