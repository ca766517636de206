"""Prints the measured part of the pocket model's card from what `pocket_quality.py` wrote.

python benchmarks/pocket_card.py benchmarks/results/pocket-quality.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ATTRIBUTES = ("colour", "motion", "shape", "count", "size", "all")


def main() -> None:
    """Reads the file named on the command line."""
    print(render(json.loads(Path(sys.argv[1]).read_text())))


def render(results: Mapping[str, Any]) -> str:
    """All tables, in the card's order."""
    parts = (
        "### How often a video shows what its prompt names",
        _scores("", _by_setting(results)),
        "### Fewer steps",
        _steps(results["steps"]),
        "### Seeds, round trip, time",
        _single_numbers(results),
        "### The judge on drawn clips",
        _scores("clips", results["judge_on_drawn_clips"]),
    )
    return "\n\n".join(parts)


def _by_setting(results: Mapping[str, Any]) -> dict[str, Any]:
    named = {f"guidance {scale}": score for scale, score in results["guidance"].items()}
    return {
        "guidance 3 (usual)": results["accuracy"],
        **named,
        "guidance 3, 96x96, 33 frames": results["long"],
    }


def _scores(first: str, by_name: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        [name, *(f"{score[a]:.1%}" for a in ATTRIBUTES), f"{score['fit']:.3f}", str(score["n"])]
        for name, score in by_name.items()
    ]
    return _table([first, *ATTRIBUTES, "fit", "n"], rows)


def _steps(by_steps: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        [
            steps,
            *(f"{score[key]:.1%}" for key in ("shape", "colour", "motion", "count")),
            f"{score['fit']:.3f}",
            f"{score['sharpness']:.4f}",
            f"{score['psnr_to_solution']:.1f}",
        ]
        for steps, score in by_steps.items()
    ]
    head = ["steps", "shape", "colour", "motion", "count", "fit", "sharpness", "dB to 200 steps"]
    return _table(head, rows)


def _single_numbers(results: Mapping[str, Any]) -> str:
    seeds, seconds = results["seeds"], results["seconds_per_video"]
    rows = [
        ["PSNR between two seeds of a prompt, mean", f"{seeds['psnr_mean']:.1f} dB", seeds["n"]],
        ["the same, most alike pair", f"{seeds['psnr_highest']:.1f} dB", seeds["n"]],
        *(
            [f"round trip of the autoencoder, {shape}", f"{value:.1f} dB", ""]
            for shape, value in results["round_trip_db"].items()
        ),
        [
            "one video, 24 steps, one thread",
            f"{seconds['median']:.2f} s [{seconds['low']:.2f}, {seconds['high']:.2f}]",
            seconds["n"],
        ],
    ]
    return _table(["", "", "n"], [[str(cell) for cell in row] for row in rows])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
