"""Stacks timed against the baseline of a model, and the table that comes of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from sol.errors import SolError
from sol.measure.hardware import probe, versions
from sol.measure.timing import time_pairs
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.target import Workload
from sol.technique import Stack, StackItem

Run = Callable[[Any, Workload], object]
"""(pipeline, workload) -> one run of what is timed."""


@dataclass(frozen=True)
class Row:
    """One stack on one model, as it stands in the file.

    Attributes:
        speedup: Median and 95% interval of the paired ratios.
        first_s: Seconds of the first run with the stack, compilation included.
        install_s: Seconds until the stack was installed.
        verdict: The gate's, where it was asked.
        obstacle: Why there are no numbers, if there are none.
    """

    model: str
    stack: str
    speedup: tuple[float, float, float] | None = None
    n: int = 0
    baseline_s: float = 0.0
    accelerated_s: float = 0.0
    first_s: float = 0.0
    install_s: float = 0.0
    verdict: str = ""
    obstacle: str = ""

    @property
    def start_s(self) -> float:
        """Seconds before the first steady run."""
        return max(self.install_s + self.first_s - self.accelerated_s, 0.0)

    @property
    def pays_after(self) -> str:
        """Videos after which these seconds are won back."""
        saved = self.baseline_s - self.accelerated_s
        return f"{self.start_s / saved:.0f} videos" if saved > 0 else "never"


def time_stack(
    pipeline: Any,
    workload: Workload,
    name: str,
    run: Run,
    stack: Stack,
    n_pairs: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Row:
    """The row of one stack; where it cannot run, the reason stands in it."""
    device = str(pipeline.device.type)
    torch._dynamo.reset()
    clone = clone_pipeline(pipeline)
    try:
        start = time.perf_counter()
        applied = install_stack(clone, stack)
        installed = time.perf_counter()
        run(clone, workload)
        _synchronize(device)
        first_s = time.perf_counter() - installed
        timing = time_pairs(
            lambda: run(pipeline, workload),
            lambda: run(clone, workload),
            n_pairs=n_pairs,
            warmup=1,
            synchronize=lambda: _synchronize(device),
            clock=clock,
            device=probe(device).name,
        )
        applied.require_engaged()
    except SolError as error:
        return Row(name, label_of(stack), obstacle=str(error))
    applied.undo()
    ratio = timing.speedup
    return Row(
        name,
        label_of(stack),
        speedup=(ratio.median, ratio.low, ratio.high),
        n=ratio.n,
        baseline_s=timing.baseline.median,
        accelerated_s=timing.accelerated.median,
        first_s=first_s,
        install_s=installed - start,
    )


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def make_stack(*items: tuple[str, dict[str, Any]]) -> Stack:
    """A stack of (technique, config)."""
    return tuple(StackItem(technique, config) for technique, config in items)


def label_of(stack: Stack) -> str:
    """Techniques with the settings that a person can read: no fitted tables."""
    parts = []
    for item in stack:
        short = {k: v for k, v in item.config.items() if not isinstance(v, list | dict)}
        parts.append(" ".join([item.technique, *(f"{k} {v}" for k, v in short.items())]))
    return " + ".join(parts)


def read_rows(out: Path) -> list[Row]:
    data = json.loads(out.with_suffix(".json").read_text(encoding="utf-8"))
    return [Row(**row) for row in data["rows"]]


def write_rows(out: Path, rows: Sequence[Row], title: str) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    hardware, found = probe(device).name, versions()
    data = {"hardware": hardware, "versions": found, "rows": [asdict(row) for row in rows]}
    out.with_suffix(".json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    of = ", ".join(f"{name} {found[name]}" for name in ("torch", "diffusers") if name in found)
    head = (
        "| model | stack | speed-up | seconds | before it is steady | pays after | gate |\n"
        "|---|---|---|---|---|---|---|\n"
    )
    body = "\n".join(markdown_row(row) for row in rows)
    note = (
        "\n\nMedians with 95% bootstrap intervals of paired ratios; interleaved in one process"
        + (", random weights: speed only." if device == "cuda" else ", one thread.")
        + " What comes before it is steady is installing and the first run, with what earlier "
        "rows left in Inductor's cache on disk; a recipe states it with an empty one.\n"
    )
    text = f"# {title}, {hardware}, {of}\n\n{head}{body}{note}"
    out.with_suffix(".md").write_text(text, encoding="utf-8")


def markdown_row(row: Row) -> str:
    if row.speedup is None:
        return f"| {row.model} | {row.stack} | {row.obstacle} | | | | |"
    median, low, high = row.speedup
    return (
        f"| {row.model} | {row.stack} | {median:.2f}x [{low:.2f}, {high:.2f}], n={row.n} "
        f"| {row.baseline_s:.3f} -> {row.accelerated_s:.3f} "
        f"| {row.start_s:.1f} s | {row.pays_after} | {row.verdict} |"
    )
