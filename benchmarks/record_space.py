"""Records a whole space of stacks on pocket: what searches are compared on, with no model at all.

    python benchmarks/record_space.py --out benchmarks/recorded/pocket.jsonl

Every stack that the rules between techniques allow is measured: its error on calibration prompts,
and its processor time beside that of the baseline, a video before and a video after. The first
line of the file is the target, its diagnosis and its spaces; each further line is a stack. A run
that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch

from sol.diagnosis import Diagnosis
from sol.errors import SolError
from sol.integrator.constraints import find_conflict
from sol.measure.fidelity import psnr, ssim
from sol.models.loading import load_model
from sol.models.prompts import calibration_prompts
from sol.runtime.applied import install_stack
from sol.runtime.clone import clone_pipeline
from sol.runtime.render import Rendering, render
from sol.search.offering import TriedOut
from sol.search.recorded_space import Header, RecordedStack, header_to_json, stack_to_json
from sol.search.records import Offer
from sol.search.worker import MeasuringWorker, Pair, WorkerPlan
from sol.skills.registry import SKILLS, TECHNIQUES
from sol.space import Choice, Ranked, Space
from sol.technique import Stack, StackItem

_PROMPTS = 3
_PARTS_OF = "int8_dynamic"


@dataclass(frozen=True)
class Axis:
    """One technique of the space.

    Attributes:
        steps: The values of its one knob, from its space; None for a technique without knobs.
        fixed: Its other knobs.
    """

    technique: str
    knob: str = ""
    choose: Callable[[Space], Sequence[Any]] = lambda _: ()
    fixed: Mapping[str, Any] | None = None


def _options(knob: str, *places: int) -> Callable[[Space], Sequence[Any]]:
    """Some of a ranked knob's options by place, or all of them."""

    def choose(space: Space) -> Sequence[Any]:
        ranked = space.knobs[knob]
        assert isinstance(ranked, Ranked)
        return [ranked.options[place] for place in places] if places else ranked.options

    return choose


_AXES = (
    Axis("planned", "skip", _options("skip")),
    Axis(
        "easycache",
        "threshold",
        lambda _: (0.03, 0.05, 0.08, 0.12, 0.18),
        {"warmup": 5, "max_skips": 4, "reuse": "ridge"},
    ),
    Axis(
        "teacache",
        "threshold",
        lambda _: (0.06, 0.117, 0.196, 0.3),
        {"warmup": 3, "max_skips": 4, "reuse": "residual"},
    ),
    Axis(
        "int8_dynamic",
        "layers",
        _options("layers", 3, -1),
        {"full_first": 0, "full_last": 0, "smooth": 0.0, "rank": 0},
    ),
    Axis(
        "stale_tokens",
        "tau",
        lambda _: (0.1, 0.2),
        {
            "patience": 2,
            "warmup": 4,
            "refresh": 3,
            "compensation": "linear",
            "context": "extrapolated",
        },
    ),
    Axis("text_kv"),
    Axis("packed_linear"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    if not arguments.out.exists():
        _append(arguments.out, header_to_json(_make_header()))
    lines = arguments.out.read_text(encoding="utf-8").splitlines()
    offers = _offers_of(json.loads(lines[0]))
    known = {json.dumps(json.loads(line)["members"], sort_keys=True) for line in lines[1:]}
    stacks = [s for s in stacks_of(offers) if json.dumps(s, sort_keys=True) not in known]
    # In any order: a machine that gets slower by the hour must not make one technique slower.
    random.Random(0).shuffle(stacks)
    for row in _measure_all(stacks, offers):
        _append(arguments.out, stack_to_json(row))


def _append(path: Path, line: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _make_header() -> Header:
    with tempfile.TemporaryDirectory() as folder:
        worker = MeasuringWorker(WorkerPlan("pocket", "cpu", None, {}, Path(folder)))
        info = worker.describe()
        prompts = calibration_prompts(info.prompts, _PROMPTS)
        pairs = tuple((prompt, seed) for seed, prompt in enumerate(prompts))
        worker.make_baseline(pairs)
        diagnosis = worker.diagnose(pairs)
        tried = _try_out(worker, diagnosis, pairs)
        offers = {skill: _grid(worker.offers(skill, diagnosis, tried)[0]) for skill in SKILLS}
    return Header(info, pairs, replace(diagnosis, attention=None), offers)


def _try_out(worker: MeasuringWorker, diagnosis: Diagnosis, pairs: Sequence[Pair]) -> TriedOut:
    """As a run does it, for the techniques of the space."""
    best = {}
    for name, groups in worker.rivals("cache", diagnosis).items():
        errors = [worker.latent_errors(name, group, pairs) for group in groups]
        best[name] = tuple(group[e.index(min(e))] for group, e in zip(groups, errors, strict=True))
    parts = worker.parts("quantization", diagnosis)[_PARTS_OF]
    return TriedOut(best, {_PARTS_OF: worker.part_errors(_PARTS_OF, parts, pairs[0])})


def _grid(offers: Sequence[Offer]) -> tuple[Offer, ...]:
    """The offers of the axes, with spaces of which every setting is recorded."""
    by_name = {offer.technique: offer for offer in offers}
    return tuple(
        _on_grid(by_name[axis.technique], axis) for axis in _AXES if axis.technique in by_name
    )


def _on_grid(offer: Offer, axis: Axis) -> Offer:
    space = offer.space
    if not axis.knob:
        return offer
    fixed: Mapping[str, Any] = axis.fixed or {}
    knobs = {
        axis.knob: Ranked(tuple(axis.choose(space))),
        **{name: Choice((value,)) for name, value in fixed.items()},
    }
    middle = knobs[axis.knob].options[len(knobs[axis.knob].options) // 2]
    published = [first[axis.knob] for first in space.first if axis.knob in first]
    on_grid = [value for value in published if value in knobs[axis.knob].options]
    first = tuple({**fixed, axis.knob: value} for value in dict.fromkeys((*on_grid, middle)))
    return replace(offer, space=replace(space, knobs=knobs, first=first[:2]))


def _offers_of(header: Mapping[str, Any]) -> list[Offer]:
    from sol.search.recorded_space import header_from_json

    return [offer for offers in header_from_json(header).offers.values() for offer in offers]


def stacks_of(offers: Sequence[Offer]) -> list[dict[str, dict[str, Any]]]:
    """Every allowed stack: by technique the knobs of its setting."""
    choices = [[None, *_settings(offer.space)] for offer in offers]
    stacks = [
        {o.technique: s for o, s in zip(offers, chosen, strict=True) if s is not None}
        for chosen in product(*choices)
    ]
    by_name = {offer.technique: offer for offer in offers}
    return [s for s in stacks if s and _is_allowed(to_stack(s, by_name))]


def _settings(space: Space) -> Iterator[dict[str, Any]]:
    options = [knob.options for knob in space.knobs.values() if isinstance(knob, Ranked | Choice)]
    assert len(options) == len(space.knobs), "a recorded space is a grid"
    for values in product(*options):
        yield dict(zip(space.knobs, values, strict=True))


def to_stack(members: Mapping[str, Mapping[str, Any]], offers: Mapping[str, Offer]) -> Stack:
    """The stack of these knobs, in the order of installation."""
    names = sorted(members, key=lambda name: (TECHNIQUES[name].phase, name))
    return tuple(StackItem(n, offers[n].space.complete(members[n])) for n in names)


def _is_allowed(stack: Stack) -> bool:
    return find_conflict([(TECHNIQUES[item.technique], item) for item in stack]) is None


def _measure_all(
    stacks: Sequence[dict[str, dict[str, Any]]], offers: Sequence[Offer]
) -> Iterator[RecordedStack]:
    loaded = load_model("pocket", "cpu", None)
    pipeline, workload = loaded.pipeline, loaded.workload
    by_name = {offer.technique: offer for offer in offers}
    prompts = calibration_prompts(loaded.prompts, _PROMPTS)
    pairs = [(prompt, seed) for seed, prompt in enumerate(prompts)]
    baseline = [render(pipeline, workload, *pair) for pair in pairs]

    def timed(made_by: Any, pair: Pair) -> tuple[Rendering, float]:
        start = time.process_time()
        rendering = render(made_by, workload, *pair)
        return rendering, time.process_time() - start

    before = timed(pipeline, pairs[0])[1]
    for members in stacks:
        clone = clone_pipeline(pipeline)
        try:
            applied = install_stack(clone, to_stack(members, by_name))
            runs = [timed(clone, pair) for pair in pairs]
            applied.require_engaged()
        except SolError as error:
            yield RecordedStack(members, failure=f"{type(error).__name__}: {error}")
            continue
        counts = {name: dict(e.counts) for name, e in applied.evidence().items()}
        applied.undo()
        after = timed(pipeline, pairs[0])[1]
        yield RecordedStack(
            members,
            psnr=tuple(psnr(b.frames, r.frames) for b, (r, _) in zip(baseline, runs, strict=True)),
            ssim=tuple(ssim(b.frames, r.frames) for b, (r, _) in zip(baseline, runs, strict=True)),
            baseline_s=(before, after),
            accelerated_s=tuple(seconds for _, seconds in runs),
            counts=counts,
        )
        before = after


if __name__ == "__main__":
    main()
