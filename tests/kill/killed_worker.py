"""A measuring worker without a model that takes its time, and writes down what it finished."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from example_prompts import diagnosis_of
from fakes import SPACES
from sessions import JudgedWorker

from sol.search.question_key import find_key
from sol.search.records import Glance, Offer
from sol.search.worker import WorkerPlan
from sol.space import Choice, Space

SECONDS = (0.05, 0.2)
FINISHED = "finished.jsonl"
UNKEPT = ("describe", "final_latents", "latents_after_undo", "latents_at_identity")
"""What is no measurement, or comes as arrays, which are not kept."""


OFFERS = {
    **SPACES,
    "quantization": (
        Offer(
            "int8_dynamic", Space({"layers": Choice(("feed_forward=all", "qkv=all", "all"))}),
            "lossy",
        ),
    ),
}  # fmt: skip


class Measurements(JudgedWorker):
    """All that a run asks."""

    def offers(self, skill: str, diagnosis: Any, tried: Any) -> Any:
        return OFFERS[skill], {}

    def diagnose(self, pairs: Any) -> Any:
        return diagnosis_of((0.5, 0.1, 0.1, 0.4))

    def make_baseline(self, pairs: Any) -> tuple[float, ...]:
        return (1.0,) * len(pairs)

    def glance(self, stack: Any, pair: Any, limits: Any) -> Glance:
        return Glance(None, 1.0 / self._speed(stack), 4, 1.0, 1.0, True, 0.1)


def _watched(method: str) -> Callable[..., Any]:
    def measure(self: Any, *args: Any) -> Any:
        time.sleep(random.uniform(*SECONDS))
        value = getattr(Measurements, method)(self, *args)
        folder = self.plan.folder.parent
        write_line(folder / FINISHED, key=find_key(method, args, folder), method=method)
        return value

    return measure


class KilledWorker(Measurements):
    """The same, with every measurement slow and written down once it is finished."""

    def __init__(self, plan: WorkerPlan) -> None:
        super().__init__(plan)
        write_line(self.plan.folder.parent / "workers.jsonl", pid=os.getpid())


MEASURING = (
    "diagnose", "make_baseline", "rivals", "parts", "offers", "glance", "measure_quality",
    "measure_speed", "measure_memory", "measure_cold_start", "compare",
)  # fmt: skip
for _method in MEASURING:
    setattr(KilledWorker, _method, _watched(_method))


def write_line(path: Path, **line: Any) -> None:
    """Appends one line at once: several processes write, and any may be killed."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, (json.dumps(line) + "\n").encode())
    finally:
        os.close(file)


def read_lines(path: Path) -> list[dict[str, Any]]:
    """All lines; none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
