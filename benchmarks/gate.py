"""How often the gate errs: its real code on drawn evidence, many times.

Three questions, answered with the looks, the spending and the candidates of a profile:

- one rule on synthetic losses of several shapes, with the mean exactly at the margin, and at zero;
- a run whose candidates are all exactly at the margin: how often any of them is accepted;
- a whole profile on the records of real videos, drawn with replacement: arms that do no harm, and
  the same arms shifted in one metric until its mean is exactly at the margin.

    python benchmarks/gate.py records --model pocket --out records.json
    python benchmarks/gate.py simulate --records records.json --out results.json
"""

from __future__ import annotations

import argparse
import functools
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from sol.deploy import stack_of
from sol.models.catalog import default_gate
from sol.models.prompts import confirmation_prompts
from sol.recipe import load_recipe
from sol.search.altered import Altered
from sol.search.worker import MeasuringWorker, WorkerPlan
from sol.validator.gate import look
from sol.validator.looks import LookPlan, plan_confirmation
from sol.validator.profile import Profile, load_profile
from sol.validator.records import PairRecord, compare_pair
from sol.validator.rule_kinds import Difference, Floor, Rule

_SEED = 20_000
Draw = Callable[[np.random.Generator, int], np.ndarray[Any, Any]]

SHAPES: Mapping[str, Draw] = {
    "normal": lambda rng, n: rng.normal(size=n),
    "heavy tails (t, 3 dof)": lambda rng, n: rng.standard_t(3, size=n) / 3**0.5,
    "skewed (lognormal losses)": lambda rng, n: -_standard_lognormal(rng, n),
    "rare collapse (1 in 20)": lambda rng, n: -_standard_bernoulli(rng, n, 0.05),
}
"""Of what one prompt loses or gains: mean 0, standard deviation 1."""

SHIFTED = ("temporal_flickering", "psnr", "feature_similarity", "vmaf_neg")
"""Metrics that are moved to their limit, one at a time; all rules take half a second a look."""

MARGIN = 0.005
SPREADS = (0.25, 0.5, 1.0, 2.0)
"""Standard deviations over prompts, in margins."""


def _standard_lognormal(rng: np.random.Generator, n: int) -> Any:
    draws = rng.lognormal(0.0, 0.75, size=n)
    mean, sd = np.exp(0.75**2 / 2), np.sqrt((np.exp(0.75**2) - 1) * np.exp(0.75**2))
    return (draws - mean) / sd


def _standard_bernoulli(rng: np.random.Generator, n: int, p: float) -> Any:
    return ((rng.random(n) < p) - p) / np.sqrt(p * (1 - p))


def decide(
    profile: Profile,
    plans: Sequence[LookPlan],
    pairs: Sequence[PairRecord],
    rng: np.random.Generator,
) -> tuple[bool, int]:
    """Whether a confirmation accepts, and after how many prompts it ends."""
    for plan in plans:
        finding = look(profile, "embedded", plan, pairs[: plan.n_prompts], rng)
        if finding.outcome != "undecided":
            break
    return finding.outcome == "accepted", plan.n_prompts


def simulate_rule(
    profile: Profile, draw: Draw, mean: float, spread: float, n: int
) -> dict[str, float]:
    """One difference rule at the first candidate's error."""
    plans, rng = plan_confirmation(profile, 0), np.random.default_rng(0)
    ends = [
        decide(profile, plans, _difference_pairs(mean + spread * draw(rng, _last(plans))), rng)
        for _ in range(n)
    ]
    return _summary(ends)


def simulate_run(profile: Profile, draw: Draw, spread: float, n: int) -> dict[str, float]:
    """All candidates of a run at the margin; Holm gives each its share of the error."""
    rng, n_wrong = np.random.default_rng(0), 0
    for _ in range(n):
        for _ in range(profile.confirmation.candidates):
            plans = plan_confirmation(profile, 0)
            values = -MARGIN + spread * draw(rng, _last(plans))
            if decide(profile, plans, _difference_pairs(values), rng)[0]:
                n_wrong += 1
                break
    return {"any_accepted": n_wrong / n, "n": n}


def simulate_profile(
    profile: Profile, pool: Sequence[PairRecord], n: int, rule: Rule | None = None
) -> dict[str, float]:
    """A whole profile on drawn records.

    Args:
        rule: Whose metric is shifted until its mean over the pool is at the limit.
    """
    plans, rng = plan_confirmation(profile, 0), np.random.default_rng(0)
    shifted = pool if rule is None else _shift_to_limit(pool, rule)
    ends = []
    for _ in range(n):
        chosen = rng.integers(len(shifted), size=_last(plans))
        pairs = [replace(shifted[i], prompt=f"drawn {k}") for k, i in enumerate(chosen)]
        ends.append(decide(profile, plans, pairs, rng))
    return _summary(ends)


def _summary(ends: Sequence[tuple[bool, int]]) -> dict[str, float]:
    accepted = float(np.mean([accepted for accepted, _ in ends]))
    return {
        "accepted": accepted,
        "standard_error": float(np.sqrt(accepted * (1 - accepted) / len(ends))),
        "mean_prompts": float(np.mean([n for _, n in ends])),
        "n": len(ends),
    }


def _last(plans: Sequence[LookPlan]) -> int:
    return plans[-1].n_prompts


def _difference_pairs(values: np.ndarray[Any, Any]) -> list[PairRecord]:
    return [
        PairRecord(f"p{k}", 0, {"temporal_flickering": 0.5},
                   {"temporal_flickering": 0.5 + float(value)}, {})
        for k, value in enumerate(values)
    ]  # fmt: skip


def _shift_to_limit(pool: Sequence[PairRecord], rule: Rule) -> list[PairRecord]:
    """Every record moved by the same amount, so that the spread stays as it was measured."""
    if isinstance(rule, Floor):
        by = rule.margin - float(np.mean([r.paired[rule.metric] for r in pool]))
        return [
            replace(r, paired={**r.paired, rule.metric: r.paired[rule.metric] + by}) for r in pool
        ]
    assert isinstance(rule, Difference)
    gaps = [r.accelerated[rule.metric] - r.baseline[rule.metric] for r in pool]
    by = -rule.margin - float(np.mean(gaps))
    return [
        replace(r, accelerated={**r.accelerated, rule.metric: r.accelerated[rule.metric] + by})
        for r in pool
    ]


def make_records(model: str, recipe: Path | None, n_prompts: int) -> dict[str, list[PairRecord]]:
    """What the profile's metrics measure on real videos, by arm."""
    profile = load_profile(default_gate(model))
    arms: dict[str, Any] = {"A/A jitter": Altered(jitter=0)}
    if recipe is not None:
        arms[f"recipe {recipe.name}"] = stack_of(load_recipe(recipe))
    with tempfile.TemporaryDirectory() as folder:
        worker = MeasuringWorker(WorkerPlan(model, None, None, {}, Path(folder)))
        prompts = confirmation_prompts(worker.describe().prompts, n_prompts)
        compare = functools.partial(compare_pair, metrics=profile.metric_names)
        return {
            name: [
                replace(
                    worker.compare(arm, (prompt.text, _SEED + k), compare)[0],
                    stratum=prompt.stratum,
                )
                for k, prompt in enumerate(prompts)
            ]
            for name, arm in arms.items()
        }


def simulate(
    profile: Profile, arms: Mapping[str, list[PairRecord]], n: int, n_of_records: int
) -> dict[str, Any]:
    """Every table of the results."""
    single = replace(profile, metrics=(_ONE_RULE,), vbench=(), guidance=None, probes=())
    return {
        "profile": {"name": profile.name, "digest": profile.digest, "seeds": profile.seeds},
        "confirmation": asdict(profile.confirmation),
        "one_rule": list(_one_rule_rows(single, n)),
        "all_candidates_at_the_margin": [
            {"shape": shape, "spread_in_margins": 1.0, **simulate_run(single, draw, MARGIN, n)}
            for shape, draw in SHAPES.items()
        ],
        "real_records": list(_record_rows(profile, arms, n_of_records)),
    }


_ONE_RULE = Difference("temporal_flickering", "difference", MARGIN, worst=5 * MARGIN)
"""As in the shipped profiles, where a prompt may lose about five margins."""


def _one_rule_rows(single: Profile, n: int) -> Iterator[dict[str, Any]]:
    for shape, draw in SHAPES.items():
        for spread in SPREADS:
            at = {
                name: simulate_rule(single, draw, mean, spread * MARGIN, n)
                for name, mean in (("at_margin", -MARGIN), ("at_zero", 0.0))
            }
            print(
                shape, spread, at["at_margin"]["accepted"], at["at_zero"]["accepted"], flush=True
            )
            yield {"shape": shape, "spread_in_margins": spread, **at}


def _record_rows(
    profile: Profile, arms: Mapping[str, list[PairRecord]], n: int
) -> Iterator[dict[str, Any]]:
    for name, pool in arms.items():
        rules = [
            rule
            for rule in profile.metrics
            if isinstance(rule, Difference | Floor) and rule.metric in SHIFTED
        ]
        for rule in (None, *rules):
            label = "as measured" if rule is None else f"{rule.metric} at its limit"
            result = simulate_profile(profile, pool, n, rule)
            print(name, label, result["accepted"], flush=True)
            yield {"arm": name, "shifted": label, **result}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    records = commands.add_parser("records")
    records.add_argument("--model", default="pocket")
    records.add_argument("--recipe", type=Path)
    records.add_argument("--prompts", type=int, default=126)
    simulation = commands.add_parser("simulate")
    simulation.add_argument("--profile", default="near-lossless-pocket")
    simulation.add_argument("--records", type=Path, required=True)
    simulation.add_argument("--draws", type=int, default=1000)
    simulation.add_argument("--record-draws", type=int, default=100)
    for command in (records, simulation):
        command.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.command == "records":
        made = make_records(args.model, args.recipe, args.prompts)
        data: Any = {name: [asdict(r) for r in pool] for name, pool in made.items()}
    else:
        loaded = json.loads(args.records.read_text())
        arms = {name: [PairRecord(**r) for r in pool] for name, pool in loaded.items()}
        data = simulate(load_profile(args.profile), arms, args.draws, args.record_draws)
    args.out.write_text(json.dumps(data, indent=1))


if __name__ == "__main__":
    main()
