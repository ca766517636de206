r"""How many measurements searches need, on a recorded space with no model at all.

    python benchmarks/search.py --space benchmarks/recorded/pocket.jsonl \
        --out benchmarks/results/search-pocket

Each search asks for stacks one by one; a stack counts once, whatever became of it. What counts is
the number of stacks until the fastest one that clears a floor of PSNR is within 5% of the best of
the whole space. `sol` is Sol's own loop: agents, integrator, orchestrator. The others are told
which stacks the rules between techniques forbid, and never pay for a stack twice.

The floor of pocket's gate is 43 dB. One floor is one draw of luck (at 43 dB a single stack of 515
is good enough), so there are others beside it.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import optuna
from matplotlib.figure import Figure

from sol.integrator.composer import Composer
from sol.integrator.cost import shares_of
from sol.search.crew import Crew
from sol.search.executors.inline import InlineExecutor
from sol.search.journal import Journal
from sol.search.orchestrator import Orchestrator, SearchTime
from sol.search.pipeline import Pipeline, TrialSetting
from sol.search.recorded_space import Members, RecordedSpace, RecordedStack, key_of, read_space
from sol.search.records import Brief, QualityFloor
from sol.search.replay import ReplayWorker
from sol.search.trial_storage import open_memory_store
from sol.skills.policies import POLICIES
from sol.skills.registry import TECHNIQUES
from sol.space import Choice, Ranked

FLOORS_DB = (40.0, 43.0, 46.0, 50.0)
_WORST_DB = 18.0
_ENOUGH = 0.95
_NOISE = 0.02
_MOST_TRIALS = 400
_MOST_ASKED = 600
"""Of TPE: it proposes known stacks over and over."""

Search = Callable[[RecordedSpace, QualityFloor, int], Iterator[RecordedStack]]
"""(space, floor, seed) -> the stacks that it measures, in order."""


@dataclass(frozen=True)
class Result:
    """One search over all seeds, at one floor.

    Attributes:
        needed: By seed, measurements until it was within 5% of the best; None where it never was.
        curve: By number of measurements, the median over the seeds of the fastest stack so far, as
            a share of the best of the space.
    """

    floor_db: float
    name: str
    needed: tuple[int | None, ...]
    curve: tuple[float, ...]

    @property
    def median_needed(self) -> float:
        """Over the seeds; infinite where half of them never came there."""
        return median(float("inf") if n is None else n for n in self.needed)


def search_with_sol(
    space: RecordedSpace, floor: QualityFloor, seed: int
) -> Iterator[RecordedStack]:
    """Sol's agents and integrator, until nothing is worth measuring any more."""
    worker = ReplayWorker(space)
    executor = InlineExecutor(make_worker=lambda _: worker)
    infos = executor.start_workers(None)
    composer = Composer(shares_of(space.header.diagnosis), TECHNIQUES, floor)
    states = []
    for skill, offers in space.header.offers.items():
        bound = POLICIES[skill].bound(space.header.diagnosis)
        executor.start_agent(Brief(skill, offers, bound, "", floor, _MOST_TRIALS, seed, _NOISE))
        composer.spaces.update({offer.technique: offer.space for offer in offers})
        states.append(executor.ask_agent(skill, "state"))
    setting = TrialSetting(space.header.pairs, floor, 3)
    with Journal(Path("/dev/null"), lambda: worker.seconds) as journal:
        Orchestrator(
            executor=executor,
            pipeline=Pipeline(Crew(executor, infos), setting, None, lambda: worker.seconds),
            composer=composer,
            journal=journal,
            store=open_memory_store(),
            time=SearchTime(float("inf"), lambda: worker.seconds),
            noise=_NOISE,
        ).run(tuple(states))
    yield from worker.asked


def search_at_random(
    space: RecordedSpace, floor: QualityFloor, seed: int
) -> Iterator[RecordedStack]:
    """All stacks in any order."""
    stacks = list(space.stacks.values())
    random.Random(seed).shuffle(stacks)
    yield from stacks


def search_with_tpe(
    space: RecordedSpace, floor: QualityFloor, seed: int
) -> Iterator[RecordedStack]:
    """Optuna's TPE over the joint space: of techniques that exclude one another, one or none."""
    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    axes, knobs, seen = _axes_of(space), _knobs_of(space), set()
    for _ in range(_MOST_ASKED):
        trial = study.ask()
        members = _ask(trial, axes, knobs)
        stack = space.stacks.get(key_of(members))
        _tell(study, trial, stack, floor)
        if stack is not None and key_of(members) not in seen:
            seen.add(key_of(members))
            yield stack


def _axes_of(space: RecordedSpace) -> list[list[str]]:
    """The techniques, those that exclude one another together."""
    axes: list[list[str]] = []
    together = {frozenset(stack.members) for stack in space.stacks.values()}
    for name in _knobs_of(space):
        home = next(
            (a for a in axes if not any({name, o} <= t for o in a for t in together)), None
        )
        if home is None:
            axes.append([name])
        else:
            home.append(name)
    return axes


def _go_together(name: str, others: Sequence[str], together: set[frozenset[str]]) -> bool:
    return any({name, other} <= names for other in others for names in together)


def _knobs_of(space: RecordedSpace) -> dict[str, dict[str, Sequence[Any]]]:
    return {
        offer.technique: {
            name: knob.options
            for name, knob in offer.space.knobs.items()
            if isinstance(knob, Ranked | Choice)
        }
        for offers in space.header.offers.values()
        for offer in offers
    }


def _ask(
    trial: optuna.Trial,
    axes: Sequence[Sequence[str]],
    knobs: Mapping[str, Mapping[str, Sequence[Any]]],
) -> Members:
    members: dict[str, dict[str, Any]] = {}
    for axis in axes:
        technique = trial.suggest_categorical("/".join(axis), ("none", *axis))
        if technique != "none":
            members[technique] = {
                name: values[trial.suggest_int(f"{technique} {name}", 0, len(values) - 1)]
                for name, values in knobs[technique].items()
            }
    return members


def _tell(
    study: optuna.Study, trial: optuna.Trial, stack: RecordedStack | None, floor: QualityFloor
) -> None:
    """What is forbidden, or did not run, has failed."""
    if stack is None or stack.failure:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return
    trial.set_constraint("quality", -floor.margin_of(stack.quality))
    study.tell(trial, stack.speedup)


def search_best_of_each(
    space: RecordedSpace, floor: QualityFloor, seed: int
) -> Iterator[RecordedStack]:
    """Every setting alone, then the best of each skill stacked.

    While the stack does not hold, the member with the largest error gives way to its skill's next
    best that has less, and then to none.
    """
    singles = [stack for stack in space.stacks.values() if len(stack.members) == 1]
    random.Random(seed).shuffle(singles)
    yield from singles
    by_skill: dict[str, list[RecordedStack]] = {}
    for single in singles:
        if not holds(single, floor) or single.speedup <= 1:
            continue
        by_skill.setdefault(TECHNIQUES[next(iter(single.members))].skill, []).append(single)
    ranked = {skill: sorted(s, key=lambda r: -r.speedup) for skill, s in by_skill.items()}
    while ranked:
        members = {n: k for choices in ranked.values() for n, k in choices[0].members.items()}
        stack = space.stacks.get(key_of(members))
        if stack is not None:
            yield stack
            if holds(stack, floor):
                return
        worst = min(ranked, key=lambda skill: ranked[skill][0].quality.psnr)
        psnr = ranked[worst][0].quality.psnr
        ranked[worst] = [s for s in ranked[worst][1:] if s.quality.psnr > psnr]
        ranked = {skill: choices for skill, choices in ranked.items() if choices}


SEARCHES: Mapping[str, Search] = {
    "sol": search_with_sol,
    "TPE, joint": search_with_tpe,
    "best of each": search_best_of_each,
    "random": search_at_random,
}


def best_of(space: RecordedSpace, floor: QualityFloor) -> RecordedStack:
    """The fastest stack that clears the floor."""
    return max((s for s in space.stacks.values() if holds(s, floor)), key=lambda s: s.speedup)


def holds(stack: RecordedStack, floor: QualityFloor) -> bool:
    """Whether it ran and clears the floor."""
    return not stack.failure and floor.find_shortfall(stack.quality) is None


def compare(space: RecordedSpace, floor: QualityFloor, n_seeds: int) -> list[Result]:
    """Every search, over seeds 0 to n_seeds - 1."""
    results = []
    for name, search in SEARCHES.items():
        runs = [_progress(search(space, floor, seed), space, floor) for seed in range(n_seeds)]
        needed = tuple(next((i + 1 for i, s in enumerate(r) if s >= _ENOUGH), None) for r in runs)
        longest = max(map(len, runs))
        padded = np.array([r + r[-1:] * (longest - len(r)) for r in runs])
        curve = tuple(np.median(padded, axis=0).round(4).tolist())
        results.append(Result(floor.psnr, name, needed, curve))
        print(f"{floor.psnr:g} dB, {name}: median {results[-1].median_needed:g}, {needed}")
    return results


def _progress(
    stacks: Iterator[RecordedStack], space: RecordedSpace, floor: QualityFloor
) -> list[float]:
    """After each measurement the fastest stack that held, as a share of the best."""
    best = best_of(space, floor).speedup
    reached, found = 0.0, []
    for stack in stacks:
        reached = max(reached, stack.speedup / best if holds(stack, floor) else 0.0)
        found.append(reached)
    return found


def plot(results: Sequence[Result], space: RecordedSpace, path: Path) -> None:
    """The medians over the seeds, by number of measurements, for each floor."""
    figure = Figure(figsize=(10, 7))
    n_seeds = len(results[0].needed)
    for axis, floor_db in zip(figure.subplots(2, 2).flat, FLOORS_DB, strict=True):
        for result in (r for r in results if r.floor_db == floor_db):
            n = np.arange(1, len(result.curve) + 1)
            axis.step(n, result.curve, where="post", label=_label(result))
        axis.axhline(_ENOUGH, color="grey", linewidth=0.8, linestyle="--")
        axis.set(xscale="log", title=f"at least {floor_db:g} dB", ylim=(0.3, 1.02))
        axis.set(xlabel="stacks measured", ylabel="fastest that held / best")
        axis.legend(title="median to 95%", fontsize="small")
    figure.suptitle(f"{len(space.stacks)} recorded stacks, medians over {n_seeds} seeds")
    figure.tight_layout()
    figure.savefig(path)


def _label(result: Result) -> str:
    needed = result.median_needed
    return f"{result.name}: {needed:g}" if needed < float("inf") else f"{result.name}: never"


def describe(space: RecordedSpace, floor: QualityFloor) -> dict[str, Any]:
    """What there is to be found at a floor."""
    best = best_of(space, floor)
    held = [stack for stack in space.stacks.values() if holds(stack, floor)]
    return {
        "floor_db": floor.psnr,
        "hold": len(held),
        "within 5% of the best": sum(s.speedup >= _ENOUGH * best.speedup for s in held),
        "best": {
            "members": best.members,
            "speedup": round(best.speedup, 3),
            "psnr": round(best.quality.psnr, 2),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=30)
    arguments = parser.parse_args()
    space = read_space(arguments.space)
    floors = [QualityFloor(psnr, _WORST_DB) for psnr in FLOORS_DB]
    results = [r for floor in floors for r in compare(space, floor, arguments.seeds)]
    rows = [
        {**asdict(r), "median_needed": r.median_needed if r.median_needed < float("inf") else None}
        for r in results
    ]
    data = {
        "space": str(arguments.space),
        "stacks": len(space.stacks),
        "floors": [describe(space, floor) for floor in floors],
        "results": rows,
    }
    text = json.dumps(data, indent=1) + "\n"
    arguments.out.with_suffix(".json").write_text(text, encoding="utf-8")
    plot(results, space, arguments.out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
