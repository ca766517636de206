"""What must hold of a run's folder, and of the machine, once a killed run has finished."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from driver import DELIVERED
from killed_worker import FINISHED, UNKEPT, read_lines
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from sol.commands.run_result import find_result
from sol.search import ledger, trial_storage

MARK = "SOL_KILL_MARK"
_SETTLES_WITHIN_S = 20.0
_ONCE = ("glance", "measure_quality")
"""Of a setting, these are asked once a run; a timing is repeated on purpose."""


def find_faults(folder: Path, mark: str, n_in_flight: int) -> list[str]:
    """One line for each thing that is not as it must be.

    Args:
        n_in_flight: Jobs that the kills can have cost: finished, or kept, and not heard of.
    """
    return [
        *([] if find_result(folder) else ["the run has no result"]),
        *measurement_faults(folder, n_in_flight),
        *_trial_faults(folder),
        *(f"a process is left: {text}" for text in wait_for_end(mark)),
    ]


def count_lost(folder: Path) -> int:
    """Measurements that a worker finished and the run never heard of."""
    return (_finished(folder) - _kept(folder)).total()


def processes_of(mark: str) -> dict[int, str]:
    """Command lines of the live processes that inherited the mark, by number."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        except OSError:
            continue
    return {number: text for number, text in found.items() if text}


def wait_for_end(mark: str) -> list[str]:
    """The processes that are still there after some seconds."""
    deadline = time.monotonic() + _SETTLES_WITHIN_S
    while processes_of(mark) and time.monotonic() < deadline:
        time.sleep(0.2)
    return list(processes_of(mark).values())


def measurement_faults(folder: Path, n_in_flight: int) -> Iterable[str]:
    """What was delivered is kept, once; what is kept was finished; see `find_faults`."""
    kept, delivered, finished = _kept(folder), _delivered(folder), _finished(folder)
    for (method, _), n in (delivered - kept).items():
        yield f"{n} measurement(s) by {method} were delivered and are not kept"
    for (method, _), n in (kept - finished).items():
        yield f"{n} measurement(s) by {method} are kept and were never finished"
    for name, extra in (("kept", kept - delivered), ("finished", finished - kept)):
        if extra.total() > n_in_flight:
            yield f"{extra.total()} {name} too many, {n_in_flight} could be in flight: {extra}"
    for (method, _), n in kept.items():
        if method in _ONCE and n > 1:
            yield f"{method} of one setting is kept {n} times"


def _trial_faults(folder: Path) -> Iterable[str]:
    storage = JournalStorage(JournalFileBackend(str(folder / trial_storage.FILE)))
    ended: Counter[tuple[str, str]] = Counter()
    for study in storage.get_all_studies():
        for trial in storage.get_all_trials(study._study_id):
            if "outcome" in trial.user_attrs:
                proposal = json.loads(trial.user_attrs["proposal"])
                ended[study.study_name, json.dumps(proposal, sort_keys=True)] += 1
            else:
                yield f"trial {trial.number} of {study.study_name} was begun and never ended"
    yield from (f"a trial of {name} is kept {n} times" for (name, _), n in ended.items() if n > 1)
    if not ended:
        yield "no trial is kept"


def _kept(folder: Path) -> Counter[tuple[str, str]]:
    lines = [line for line in read_lines(folder / ledger.FILE) if "value" in line]
    return _count(lines)


def _delivered(folder: Path) -> Counter[tuple[str, str]]:
    return _count(read_lines(folder / DELIVERED))


def _finished(folder: Path) -> Counter[tuple[str, str]]:
    return _count(read_lines(folder / FINISHED))


def _count(lines: Iterable[dict[str, str]]) -> Counter[tuple[str, str]]:
    return Counter(
        (line["method"], line["key"])
        for line in lines
        if line["method"] not in UNKEPT and line["key"] is not None
    )
