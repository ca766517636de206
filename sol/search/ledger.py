"""The ledger of a run: every measurement that ended, on disk before anybody hears of it.

An answer is given once. A question that is asked twice is measured twice, in an interrupted run as
in one that was not: the n-th answer to a question is the n-th measurement of it.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sol.errors import OutputError, SolError
from sol.search.executors.base import Done, Failure
from sol.search.json_lines import cut_last_line, cut_torn_line, read_json_lines
from sol.search.plain_data import NotPlainError, from_plain, to_plain
from sol.search.question_key import find_key
from sol.search.records import WorkerInfo
from sol.target import Target

SCHEMA: Final = "sol.measurements/1"
FILE = "measurements.jsonl"

_FACTS: frozenset[Failure] = frozenset({"no_effect", "failed"})
"""Failures that say something about what was measured. A lost worker is worth another try."""


@dataclass(frozen=True)
class Answer:
    """What a worker said: a value, or why there is none."""

    value: Any = None
    failure: Failure | None = None
    reason: str = ""


@dataclass
class _Kept:
    """The answers to one question, oldest first, and how many of them this process has heard."""

    answers: list[Answer] = field(default_factory=list)
    n_given: int = 0


class Ledger:
    """Appends to `measurements.jsonl` of a run's folder. One process at a time may have it open.

    A failure at the end of the file is measured anew: the run may have ended because of it.

    Raises:
        SolError: The file is of another schema, or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / FILE
        self._kept: defaultdict[str, _Kept] = defaultdict(_Kept)
        self._target: Mapping[str, Any] | None = None
        cut_torn_line(self._path)
        lines = read_json_lines(self._path) if self._path.exists() else []
        if lines and lines[-1].get("failure"):
            cut_last_line(self._path)
            lines.pop()
        self._load(lines)

    @property
    def n_answers(self) -> int:
        """How many measurements are kept."""
        return sum(len(kept.answers) for kept in self._kept.values())

    def find(self, method: str, args: tuple[Any, ...]) -> Answer | None:
        """The next kept answer that was not given yet, or None if there is none."""
        key = find_key(method, args, self._folder)
        kept = None if key is None else self._kept.get(key)
        if kept is None or kept.n_given == len(kept.answers):
            return None
        kept.n_given += 1
        return kept.answers[kept.n_given - 1]

    def pass_over(self, method: str, *args: Any) -> None:
        """Counts an answer as given, for a caller that has it from somewhere else."""
        self.find(method, args)

    def keep(self, method: str, args: tuple[Any, ...], done: Done) -> bool:
        """Whether it could be kept: arrays are not, nor are failures that are no facts.

        Raises:
            OutputError: The file cannot be written.
        """
        key = find_key(method, args, self._folder)
        if key is None or (done.failure is not None and done.failure not in _FACTS):
            return False
        try:
            line = _to_line(key, method, done)
        except NotPlainError:
            return False
        self._append(line)
        self._kept[key].answers.append(Answer(done.value, done.failure, done.reason))
        self._kept[key].n_given += 1
        return True

    def bind(self, info: WorkerInfo) -> None:
        """Ties the ledger to the target and the packages that it is measured with.

        Raises:
            SolError: It was measured on another target, or with other versions.
        """
        target = Target(info.model, info.hardware, info.workload)
        found = {"fingerprint": target.fingerprint, "versions": dict(info.versions)}
        if self._target is None:
            self._append({"target": found})
            self._target = found
        elif self._target != found:
            raise SolError(
                f"{self._folder} was measured on another target or with other versions: "
                f"{_differences(self._target, found)}. Numbers of two targets do not mix: go on "
                "where it began, or start a new run without --resume."
            )

    def _load(self, lines: list[dict[str, Any]]) -> None:
        if not lines:
            self._append({"schema": SCHEMA})
            return
        if lines[0].get("schema") != SCHEMA:
            raise SolError(
                f"{self._path} is of schema {lines[0].get('schema')!r}, not {SCHEMA}: go on with "
                "the version of Sol that wrote it, or start a new run."
            )
        for line in lines[1:]:
            if "target" in line:
                self._target = line["target"]
            else:
                self._take(line)

    def _take(self, line: Mapping[str, Any]) -> None:
        try:
            value = from_plain(line.get("value"))
        except NotPlainError:
            # Written by a version whose records were others: measured anew.
            return
        answer = Answer(value, line.get("failure"), line.get("reason", ""))
        self._kept[line["key"]].answers.append(answer)

    def _append(self, line: Mapping[str, Any]) -> None:
        try:
            with self._path.open("ab") as file:
                file.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OutputError(
                f"Cannot write {self._path}: {error.strerror}. Free some space, then go on with "
                f"`sol tune --resume {self._folder}`."
            ) from error


def _to_line(key: str, method: str, done: Done) -> dict[str, Any]:
    line = {"key": key, "method": method}
    if done.failure is not None:
        return {**line, "failure": done.failure, "reason": done.reason}
    return {**line, "value": to_plain(done.value)}


def _differences(kept: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if kept["fingerprint"] != found["fingerprint"]:
        return f"target {kept['fingerprint']} then, {found['fingerprint']} now"
    then, now = kept["versions"], found["versions"]
    names = sorted(n for n in {*then, *now} if then.get(n) != now.get(n))
    return ", ".join(f"{n} {then.get(n, '-')} then, {now.get(n, '-')} now" for n in names)
