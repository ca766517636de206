"""`sol tune`: checks the request, makes the run's folder, runs, and leaves no executor behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sol.commands.backend import choose_scorer
from sol.commands.executor import ExecutorChoice, open_executor
from sol.errors import SolError, UnknownNameError
from sol.models.catalog import default_gate
from sol.models.loading import default_workload
from sol.search.budget import get_budget
from sol.search.journal import Journal
from sol.skills.registry import SKILLS
from sol.stages.folder import discard_if_unused, make_run_folder
from sol.stages.request import TuneRequest
from sol.tune import TuneResult, tune
from sol.validator.profile import load_profile


@dataclass(frozen=True)
class TuneOptions:
    """What the user typed.

    Attributes:
        skills: Names with commas between them, or None for all.
        vbench_env: Where VBench was set up, if it was.
        output: The folder in which the run's own is made.
    """

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


class RunInterrupted(KeyboardInterrupt):
    """The user ended the run; what was measured is in `folder`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder


def run_tune(options: TuneOptions, hear: Callable[[Mapping[str, Any]], None]) -> TuneResult:
    """Runs, and lets `hear` hear every line of the journal.

    Raises:
        SolError: Something in the options is wrong; no folder is left.
        RunInterrupted: Ctrl-C or SIGTERM.
    """
    request = _make_request(options)
    try:
        with (
            Journal(request.folder / "journal.jsonl", time.monotonic) as journal,
            open_executor(options.executor) as executor,
        ):
            journal.listen(hear)
            return tune(request, executor, journal)
    except SolError:
        discard_if_unused(request.folder)
        raise
    except KeyboardInterrupt:
        raise RunInterrupted(request.folder) from None


def _make_request(options: TuneOptions) -> TuneRequest:
    """All that can be wrong with the options is known before the folder is made."""
    budget = get_budget(options.budget)
    profile = load_profile(options.gate or default_gate(options.model))
    skills = _parse_skills(options.skills)
    default_workload(options.model).with_overrides(options.overrides)
    return TuneRequest(
        model=options.model,
        device=options.device,
        dtype=options.dtype,
        overrides=options.overrides,
        budget=budget,
        profile=profile,
        scorer=choose_scorer(options.backend, profile, options.vbench_env, options.device),
        skills=skills,
        seed=options.seed,
        folder=make_run_folder(options.output, options.model),
    )


def _parse_skills(text: str | None) -> tuple[str, ...]:
    if text is None:
        return SKILLS
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in SKILLS:
            raise UnknownNameError("skill", name, SKILLS)
    return names
