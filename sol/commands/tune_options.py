"""What the user typed after `sol tune`, and what of it may change when a run is resumed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sol.commands.executor import ExecutorChoice
from sol.errors import SolError
from sol.models.catalog import find_entry
from sol.search.budget import Budget, get_budget
from sol.target import STRICT

_SECONDS = 60.0
_MAY_CHANGE = (
    "minutes",
    "executor",
    "workers",
    "ray_address",
    "worker_memory_gb",
    "vbench_env",
)
"""How long and where is measured, never what."""


@dataclass(frozen=True)
class TuneOptions:
    """One call of `sol tune`.

    Attributes:
        skills: Names with commas between them, or None for all.
        vbench_env: Where VBench was set up, if it was.
        output: The folder in which the run's own is made.
        minutes: Of search, interruptions left out; None for the budget's.
        storage: URL of a database for the trials; None for a file in the run's folder.
    """

    __pydantic_config__ = STRICT

    model: str
    budget: str
    skills: str | None
    gate: str | None
    backend: str
    vbench_env: Path
    output: Path
    device: str | None
    dtype: str | None
    overrides: Mapping[str, Any]
    seed: int
    executor: ExecutorChoice
    minutes: float | None = None
    storage: str | None = None

    def find_budget(self) -> Budget:
        """The budget, with as many minutes as were asked for.

        Raises:
            UnknownNameError: No such budget.
            SolError: No time is left to search in.
        """
        budget = get_budget(self.budget)
        if self.minutes is None:
            return budget
        if not self.minutes > 0:
            raise SolError(f"--minutes must be more than 0, got {self.minutes:g}.")
        return replace(budget, search_s=_SECONDS * self.minutes)


def lasting(options: TuneOptions) -> TuneOptions:
    """With whole paths: the run may be resumed from another folder."""
    model, gate = options.model, options.gate
    return replace(
        options,
        model=model if find_entry(model) else _whole(model),
        gate=None if gate is None else _whole(gate),
        vbench_env=options.vbench_env.absolute(),
    )


def merge(kept: TuneOptions, typed: TuneOptions, given: Collection[str]) -> TuneOptions:
    """What a run goes on with.

    Args:
        kept: What it began with.
        given: Names of the options that were typed now, as on the command line.

    Raises:
        SolError: One that was typed now contradicts the run.
    """
    typed = lasting(typed)
    before, now = _by_name(kept), _by_name(typed)
    for name in given:
        if name in before and name not in _MAY_CHANGE and before[name] != now[name]:
            raise SolError(_contradiction(name, before[name], now[name]))
    before |= {name: now[name] for name in _MAY_CHANGE if name in given}
    return replace(
        kept,
        minutes=before["minutes"],
        vbench_env=before["vbench_env"],
        executor=replace(
            kept.executor,
            name=before["executor"],
            n_workers=before["workers"],
            ray_address=before["ray_address"],
            worker_memory_gb=before["worker_memory_gb"],
        ),
    )


def _by_name(options: TuneOptions) -> dict[str, Any]:
    """Values by the names that the command line has for them."""
    overrides = options.overrides
    return {
        "model": options.model,
        "budget": options.budget,
        "skills": options.skills,
        "gate": options.gate,
        "backend": options.backend,
        "vbench_env": options.vbench_env,
        "output": options.output,
        "device": options.device,
        "dtype": options.dtype,
        "height": overrides.get("height"),
        "width": overrides.get("width"),
        "frames": overrides.get("num_frames"),
        "steps": overrides.get("steps"),
        "guidance": overrides.get("guidance_scale"),
        "seed": options.seed,
        "executor": options.executor.name,
        "workers": options.executor.n_workers,
        "ray_address": options.executor.ray_address,
        "worker_memory_gb": options.executor.worker_memory_gb,
        "minutes": options.minutes,
        "storage": options.storage,
    }


def _contradiction(name: str, before: Any, now: Any) -> str:
    then = "was left out" if before is None else f"was {before}"
    return (
        f"--{name.replace('_', '-')} {then} when the run began, got {now}: what is measured "
        "cannot change. Leave it out to go on, or start a new run without --resume."
    )


def _whole(name: str) -> str:
    path = Path(name)
    return str(path.resolve()) if path.exists() else name
