"""`sol tune`: checks the request, makes the run's folder, runs, and leaves no executor behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sol.commands.backend import choose_scorer
from sol.commands.executor import open_executor
from sol.commands.run_file import RunFile, load_run, name_run, write_run
from sol.commands.run_result import write_result
from sol.commands.tune_options import TuneOptions, lasting
from sol.errors import SolError, UnknownNameError
from sol.models.catalog import default_gate
from sol.models.loading import default_workload
from sol.search.executors.recalling import RecallingExecutor
from sol.search.journal import Journal
from sol.search.ledger import Ledger
from sol.search.spent import SpentTime
from sol.search.trial_storage import open_trial_store
from sol.skills.registry import SKILLS
from sol.stages.evidence import VideoScorer
from sol.stages.folder import discard_if_unused, make_run_folder
from sol.stages.recalled_scores import RecallingScorer
from sol.stages.request import TuneRequest
from sol.stages.run_lock import hold
from sol.tune import TuneResult, tune
from sol.validator.profile import Profile, load_profile

Hear = Callable[[Mapping[str, Any]], None]


class RunInterrupted(KeyboardInterrupt):
    """The user ended the run; what was measured is in `folder`."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder


@dataclass(frozen=True)
class _Checked:
    """Options of which nothing can be wrong any more."""

    options: TuneOptions
    profile: Profile
    scorer: VideoScorer | None
    skills: tuple[str, ...]


def run_tune(options: TuneOptions, hear: Hear) -> TuneResult:
    """Runs, and lets `hear` hear every line of the journal.

    Raises:
        SolError: Something in the options is wrong; no folder is left.
        RunInterrupted: Ctrl-C or SIGTERM.
    """
    checked = _check(lasting(options))
    folder = make_run_folder(options.output, options.model)
    run = RunFile(name_run(folder), checked.profile.digest, checked.options)
    try:
        with hold(folder):
            write_run(folder, run)
            return _run(checked, run, folder, hear)
    except SolError:
        discard_if_unused(folder)
        raise


def resume_tune(folder: Path, options: TuneOptions, hear: Hear) -> TuneResult:
    """Goes on with the run in `folder`: what was measured is recalled, the rest is measured.

    Args:
        options: The run's own, but for what may change.

    Raises:
        SolError: It cannot go on, with the remedy.
        RunInterrupted: Ctrl-C or SIGTERM.
    """
    run, checked = load_run(folder), _check(options)
    if checked.profile.digest != run.gate_digest:
        raise SolError(
            f"Gate profile {checked.profile.name} is another than the one that {folder} began "
            f"with (digest {checked.profile.digest[:12]}, then {run.gate_digest[:12]}): restore "
            "it, or start a new run."
        )
    with hold(folder):
        write_run(folder, RunFile(run.id, run.gate_digest, options))
        return _run(checked, run, folder, hear)


def _run(checked: _Checked, run: RunFile, folder: Path, hear: Hear) -> TuneResult:
    ledger, options = Ledger(folder), checked.options
    request = _make_request(checked, run, folder, ledger)
    with (
        _interruptible(folder),
        Journal(folder / "journal.jsonl", time.monotonic) as journal,
        open_executor(options.executor) as executor,
    ):
        journal.listen(hear)
        if ledger.n_answers:
            journal.write("sol", "resume", measurements=ledger.n_answers)
        result = tune(request, RecallingExecutor(executor, ledger), journal)
    write_result(folder, result.to_json())
    return result


@contextmanager
def _interruptible(folder: Path) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise RunInterrupted(folder) from None


def _check(options: TuneOptions) -> _Checked:
    """All that can be wrong with the options is known before the folder is made."""
    options.find_budget()
    profile = load_profile(options.gate or default_gate(options.model))
    skills = _parse_skills(options.skills)
    default_workload(options.model).with_overrides(options.overrides)
    scorer = choose_scorer(options.backend, profile, options.vbench_env, options.device)
    return _Checked(options, profile, scorer, skills)


def _make_request(checked: _Checked, run: RunFile, folder: Path, ledger: Ledger) -> TuneRequest:
    options, scorer = checked.options, checked.scorer
    return TuneRequest(
        model=options.model,
        device=options.device,
        dtype=options.dtype,
        overrides=options.overrides,
        budget=options.find_budget(),
        profile=checked.profile,
        scorer=None if scorer is None else RecallingScorer(scorer, ledger),
        skills=checked.skills,
        seed=options.seed,
        folder=folder,
        store=open_trial_store(folder, options.storage, run.id),
        spent=SpentTime(folder),
        ledger=ledger,
    )


def _parse_skills(text: str | None) -> tuple[str, ...]:
    if text is None:
        return SKILLS
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in SKILLS:
            raise UnknownNameError("skill", name, SKILLS)
    return names
