"""A worker without a model: speed and quality are known functions of the stack."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from sol.diagnosis import Diagnosis
from sol.errors import NoEffectError
from sol.search.records import Offer, Quality, Speed, WorkerInfo
from sol.search.worker import ContaminatedWorkerError, WorkerPlan
from sol.space import Choice, Float, Space
from sol.target import Hardware, Model, Workload

CLIFF = 0.3
SPACES = {
    "cache": (
        Offer("easycache", Space({"threshold": Float(0.01, 1.0, bolder="up")},
                                 ({"threshold": 0.1},)), "lossy"),
        Offer("text_kv", Space({}, ({},)), "exact"),
    ),
    "quantization": (
        Offer("int8_dynamic", Space({"layers": Choice(("feed_forward", "all"))}), "lossy"),
    ),
}  # fmt: skip


class FakeWorker:
    """easycache: faster and worse with the threshold. int8 on all layers dies."""

    made = 0

    def __init__(self, plan: WorkerPlan) -> None:
        type(self).made += 1
        self.plan = plan

    def describe(self) -> WorkerInfo:
        return WorkerInfo(
            Model("fake", "ltx", "local", "sha256:00"),
            Hardware("cpu", "fake", 1, 1.0),
            Workload(8, 8, 5, 4, 1.0, 8, 8),
            "pocket",
            "here:cpu",
            0.0,
            {},
        )

    def rivals(self, skill: str, diagnosis: Diagnosis) -> Any:
        return {}

    def parts(self, skill: str, diagnosis: Diagnosis) -> Any:
        return {}

    def offers(self, skill: str, diagnosis: Diagnosis, tried: Any) -> Any:
        return SPACES[skill], {"other": "it needs what is not there"}

    def measure_quality(self, stack: Any, pairs: Any, floor: Any) -> Quality:
        psnr = float(np.mean([self._psnr(item) for item in stack]))
        return Quality(psnr, psnr - 1, 0.9, self._speed(stack), len(pairs))

    def measure_speed(self, stack: Any, pair: Any, n_pairs: int) -> Speed:
        speed = self._speed(stack)
        return Speed(speed, speed - 0.05, speed + 0.05, n_pairs, (1.0,), (1.0 / speed,))

    def fail(self) -> None:
        raise ValueError("on purpose")

    def contaminate(self) -> None:
        raise ContaminatedWorkerError("changed")

    def sleep(self, seconds: float) -> str:
        time.sleep(seconds)
        return "slept"

    def die(self) -> None:
        import os

        os._exit(1)

    def echo(self, value: Any) -> Any:
        return value

    def _psnr(self, item: Any) -> float:
        if item.technique == "easycache":
            return 40.0 - 30.0 * float(item.config["threshold"])
        if item.config.get("layers") == "all":
            raise MemoryError("no room for all layers")
        if item.technique == "text_kv":
            raise NoEffectError("text_kv never engaged")
        return 50.0

    def _speed(self, stack: Any) -> float:
        return 1.0 + sum(float(item.config.get("threshold", 0.2)) for item in stack)


class CliffWorker(FakeWorker):
    """easycache: faster with the threshold; quality is perfect up to `CLIFF` and then gone."""

    def _psnr(self, item: Any) -> float:
        return 45.0 if item.config.get("threshold", 0.0) <= CLIFF else 12.0
