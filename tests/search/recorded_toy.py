"""A recorded space of made-up stacks: caches that overlap, a quantization, and an exact one."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from example_prompts import diagnosis_of

from sol.search.recorded_space import (
    Header,
    RecordedSpace,
    RecordedStack,
    header_to_json,
    key_of,
    stack_to_json,
)
from sol.search.records import Offer, WorkerInfo
from sol.space import Choice, Ranked, Space
from sol.target import Hardware, Model, Workload
from sol.technique import Stack, StackItem

INFO = WorkerInfo(
    Model("toy", "ltx", "local", "sha256:00"),
    Hardware("cpu", "toy", 1, 1.0),
    Workload(8, 8, 5, 4, 1.0, 8, 8),
    "pocket",
    "here:cpu",
    0.0,
    {},
)
OFFERS = {
    "cache": (
        Offer(
            "easycache",
            Space(
                {"threshold": Ranked((0.1, 0.2, 0.3, 0.4)), "reuse": Choice(("ridge",))},
                ({"threshold": 0.2, "reuse": "ridge"},),
                {"table": [1.0, 2.0]},
            ),
            "lossy",
        ),
        Offer("text_kv", Space({}, ({},)), "exact"),
    ),
    "quantization": (
        Offer("int8_dynamic", Space({"layers": Ranked(("some", "all"))}, ({"layers": "some"},)),
              "lossy"),
    ),
    "kernel_fusion": (Offer("packed_linear", Space({}, ({},)), "numerical"),),
}  # fmt: skip

_SECONDS = {0.1: 0.85, 0.2: 0.75, 0.3: 0.65, 0.4: 0.5, "some": 0.85, "all": 0.75}
_ERRORS = {0.1: 1e-6, 0.2: 1e-5, 0.3: 4e-5, 0.4: 4e-4, "some": 1e-6, "all": 2e-5}


def toy_space() -> RecordedSpace:
    """Every stack; nothing is left to pack where all layers are quantized."""
    header = Header(INFO, (("a", 0), ("b", 1)), diagnosis_of((0.1, 0.1)), OFFERS)
    return RecordedSpace(header, {key_of(stack.members): stack for stack in _stacks()})


def write_space(space: RecordedSpace, path: Path) -> None:
    lines = [header_to_json(space.header), *map(stack_to_json, space.stacks.values())]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def stack_of(space: RecordedSpace, **knobs) -> Stack:
    """Of these techniques with these knobs, as it would be installed."""
    spaces = {o.technique: o.space for offers in space.header.offers.values() for o in offers}
    return tuple(StackItem(name, spaces[name].complete(chosen)) for name, chosen in knobs.items())


def _stacks() -> Iterator[RecordedStack]:
    caches = (None, *({"threshold": t, "reuse": "ridge"} for t in (0.1, 0.2, 0.3, 0.4)))
    layers = (None, {"layers": "some"}, {"layers": "all"})
    for cache, layer, kept, packed in product(caches, layers, (None, {}), (None, {})):
        chosen = {
            "easycache": cache,
            "int8_dynamic": layer,
            "text_kv": kept,
            "packed_linear": packed,
        }
        members = {name: knobs for name, knobs in chosen.items() if knobs is not None}
        if members:
            yield _measured(members)


def _measured(members) -> RecordedStack:
    if "packed_linear" in members and members.get("int8_dynamic") == {"layers": "all"}:
        return RecordedStack(members, failure="NoEffectError: nothing was packed")
    values = [next(iter(knobs.values()), None) for knobs in members.values()]
    seconds = math.prod(_SECONDS.get(value, 0.95) for value in values)
    error = sum(_ERRORS.get(value, 1e-10) for value in values)
    psnr = -10 * math.log10(error)
    n_skipped = int(20 * members.get("easycache", {}).get("threshold", 0.0))
    counts = {"easycache": {"calls_computed": 20 - n_skipped, "calls_skipped": n_skipped}}
    return RecordedStack(
        members,
        psnr=(psnr + 1, psnr - 1),
        ssim=(0.99, 0.98),
        baseline_s=(10.0, 10.0),
        accelerated_s=(10 * seconds,) * 2,
        counts=counts if n_skipped else {},
    )
