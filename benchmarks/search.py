"""How many measurements searches need, on a recorded space with no model at all.

    python benchmarks/search.py --space benchmarks/recorded/pocket.jsonl --out benchmarks/results/search-pocket

Each search asks for stacks one by one; a stack counts once, whatever became of it. What counts is
the number of stacks until the fastest one that clears the gate's PSNR floor is within 5% of the
best of the whole space. `sol` is Sol's own loop: agents, integrator, orchestrator. The others are
told which stacks the rules between techniques forbid, and never pay for a stack twice.
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

FLOOR = QualityFloor(psnr=43.0, worst_psnr=18.0)
"""Of the profile near-lossless-pocket."""
_ENOUGH = 0.95
_NOISE = 0.02
_MOST_TRIALS = 400

Search = Callable[[RecordedSpace, int], Iterator[RecordedStack]]
"""(space, seed) -> the stacks that it measures, in order."""


@dataclass(frozen=True)
class Result:
    """One search over all seeds.

    Attributes:
        needed: By seed, measurements until it was within 5% of the best; None where it never was.
        curve: By number of measurements, the median over the seeds of the fastest stack so far, as
            a share of the best of the space.
    """

    name: str
    needed: tuple[int | None, ...]
    curve: tuple[float, ...]

    @property
    def median_needed(self) -> float:
        """Over the seeds; infinite where half of them never came there."""
        return median(float("inf") if n is None else n for n in self.needed)


def search_with_sol(space: RecordedSpace, seed: int) -> Iterator[RecordedStack]:
    """Sol's agents and integrator, until nothing is worth measuring any more."""
    worker = ReplayWorker(space)
    executor = InlineExecutor(make_worker=lambda _: worker)
    infos = executor.start_workers(None)
    composer = Composer(shares_of(space.header.diagnosis), TECHNIQUES, FLOOR)
    states = []
    for skill, offers in space.header.offers.items():
        bound = POLICIES[skill].bound(space.header.diagnosis)
        executor.start_agent(Brief(skill, offers, bound, "", FLOOR, _MOST_TRIALS, seed, _NOISE))
        composer.spaces.update({offer.technique: offer.space for offer in offers})
        states.append(executor.ask_agent(skill, "state"))
    setting = TrialSetting(space.header.pairs, FLOOR, 3)
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


def search_at_random(space: RecordedSpace, seed: int) -> Iterator[RecordedStack]:
    """All stacks in any order."""
    stacks = list(space.stacks.values())
    random.Random(seed).shuffle(stacks)
    yield from stacks


def search_with_tpe(space: RecordedSpace, seed: int) -> Iterator[RecordedStack]:
    """Optuna's TPE over all knobs at once, each technique with "not in the stack" as a value."""
    knobs = _joint_knobs(space)
    sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    seen: set[str] = set()
    for _ in range(40 * len(space.stacks)):
        trial = study.ask()
        members = _ask(trial, knobs)
        stack = space.stacks.get(key_of(members))
        if stack is None or key_of(members) in seen:
            # Forbidden or known: it learns so, and pays nothing.
            if stack is not None:
                _tell(study, trial, stack)
            else:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            continue
        seen.add(key_of(members))
        _tell(study, trial, stack)
        yield stack


def _joint_knobs(space: RecordedSpace) -> dict[str, dict[str, Sequence[Any]]]:
    return {
        offer.technique: {
            name: knob.options
            for name, knob in offer.space.knobs.items()
            if isinstance(knob, Ranked | Choice)
        }
        for offers in space.header.offers.values()
        for offer in offers
    }


def _ask(trial: optuna.Trial, knobs: Mapping[str, Mapping[str, Sequence[Any]]]) -> Members:
    members: dict[str, dict[str, Any]] = {}
    for technique, options in knobs.items():
        if trial.suggest_categorical(technique, (False, True)):
            members[technique] = {
                name: values[trial.suggest_int(f"{technique} {name}", 0, len(values) - 1)]
                for name, values in options.items()
            }
    return members


def _tell(study: optuna.Study, trial: optuna.Trial, stack: RecordedStack) -> None:
    if stack.failure:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return
    trial.set_constraint("quality", -FLOOR.margin_of(stack.quality))
    study.tell(trial, stack.speedup)


def search_best_of_each(space: RecordedSpace, seed: int) -> Iterator[RecordedStack]:
    """Every setting alone, then the best of each skill stacked.

    While the stack does not hold, the member with the largest error gives way to its skill's next
    best that has less, and then to none.
    """
    singles = [stack for stack in space.stacks.values() if len(stack.members) == 1]
    random.Random(seed).shuffle(singles)
    yield from singles
    by_skill: dict[str, list[RecordedStack]] = {}
    for single in singles:
        if single.failure or FLOOR.find_shortfall(single.quality) or single.speedup <= 1:
            continue
        by_skill.setdefault(TECHNIQUES[next(iter(single.members))].skill, []).append(single)
    ranked = {skill: sorted(s, key=lambda r: -r.speedup) for skill, s in by_skill.items()}
    while ranked:
        members = {n: k for choices in ranked.values() for n, k in choices[0].members.items()}
        stack = space.stacks.get(key_of(members))
        if stack is not None:
            yield stack
            if not stack.failure and not FLOOR.find_shortfall(stack.quality):
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


def best_of(space: RecordedSpace) -> RecordedStack:
    """The fastest stack that clears the floor."""
    return max((s for s in space.stacks.values() if _holds(s)), key=lambda s: s.speedup)


def _holds(stack: RecordedStack) -> bool:
    return not stack.failure and FLOOR.find_shortfall(stack.quality) is None


def compare(space: RecordedSpace, n_seeds: int) -> list[Result]:
    """Every search, over seeds 0 to n_seeds - 1."""
    best = best_of(space).speedup
    results = []
    for name, search in SEARCHES.items():
        runs = [_progress(search(space, seed), best) for seed in range(n_seeds)]
        needed = tuple(next((i + 1 for i, s in enumerate(r) if s >= _ENOUGH), None) for r in runs)
        longest = max(map(len, runs))
        padded = np.array([r + r[-1:] * (longest - len(r)) for r in runs])
        results.append(Result(name, needed, tuple(np.median(padded, axis=0).round(4).tolist())))
        print(f"{name}: median {results[-1].median_needed:g}, {needed}")
    return results


def _progress(stacks: Iterator[RecordedStack], best: float) -> list[float]:
    """After each measurement the fastest stack that held, as a share of the best."""
    reached, found = 0.0, []
    for stack in stacks:
        reached = max(reached, stack.speedup / best if _holds(stack) else 0.0)
        found.append(reached)
    return found


def plot(results: Sequence[Result], space: RecordedSpace, path: Path) -> None:
    """The medians over the seeds, by number of measurements."""
    figure = Figure(figsize=(7, 4))
    axis = figure.subplots()
    for result in results:
        n = np.arange(1, len(result.curve) + 1)
        label = f"{result.name}: {result.median_needed:g}"
        axis.step(n, result.curve, where="post", label=label)
    axis.axhline(_ENOUGH, color="grey", linewidth=0.8, linestyle="--")
    axis.set(
        xscale="log",
        xlabel="stacks measured",
        ylabel="fastest that held / best of the space",
        title=f"{len(space.stacks)} recorded stacks, medians over {len(results[0].needed)} seeds",
    )
    axis.legend(title="median to 95%")
    figure.tight_layout()
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=30)
    arguments = parser.parse_args()
    space = read_space(arguments.space)
    best = best_of(space)
    results = compare(space, arguments.seeds)
    n_enough = sum(
        _holds(s) and s.speedup >= _ENOUGH * best.speedup for s in space.stacks.values()
    )
    data = {
        "space": str(arguments.space),
        "stacks": len(space.stacks),
        "that hold": sum(map(_holds, space.stacks.values())),
        "within 5%": n_enough,
        "best": {"members": best.members, "speedup": best.speedup, "psnr": best.quality.psnr},
        "floor_db": FLOOR.psnr,
        "results": [{**asdict(r), "median_needed": r.median_needed} for r in results],
    }
    arguments.out.with_suffix(".json").write_text(json.dumps(data, indent=1) + "\n", "utf-8")
    plot(results, space, arguments.out.with_suffix(".svg"))


if __name__ == "__main__":
    main()
