"""Where the trials of a run are kept: a journal in its folder, or a database."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from sol.errors import SolError
from sol.search.json_lines import cut_torn_line
from sol.search.plain_data import NotPlainError
from sol.search.trial_store import TrialStore

FILE = "trials.optuna.log"


def open_trial_store(folder: Path, url: str | None, run_id: str) -> TrialStore:
    """The trials of the run in `folder`, which nobody else may have open.

    Args:
        url: Of a database as SQLAlchemy writes it; None for a file in the folder.
        run_id: Tells the run's studies from those of others in a database.

    Raises:
        SolError: It cannot be read, with the reason.
    """
    try:
        if url is None:
            return TrialStore(_open_journal(folder / FILE))
        return TrialStore(_open_database(url), f"{run_id}/")
    except (ValueError, KeyError, NotPlainError) as error:
        where = folder / FILE if url is None else url
        raise SolError(
            f"The trials in {where} cannot be read ({error}): go on with the version of Sol that "
            "wrote them, or start a new run."
        ) from error


def open_memory_store() -> TrialStore:
    """For a run of which nothing is kept."""
    return TrialStore(optuna.storages.InMemoryStorage())


def _open_journal(path: Path) -> BaseStorage:
    """Mends what a killed process left: its lock, which is waited for, and half a line."""
    for left in path.parent.glob(f"{path.name}.lock*"):
        left.unlink(missing_ok=True)
    cut_torn_line(path)
    return JournalStorage(JournalFileBackend(str(path)))


def _open_database(url: str) -> BaseStorage:
    try:
        return optuna.storages.RDBStorage(url)
    except ImportError as error:
        raise SolError(f"--storage {url} needs a driver: {error}. Install it.") from error
    except Exception as error:
        # SQLAlchemy's errors and those of its drivers share no base class.
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SolError(
            f"--storage {url} cannot be opened: {line}. Pass a URL such as "
            "sqlite:////path/trials.db, or leave the option out to keep them in the run's folder."
        ) from error
