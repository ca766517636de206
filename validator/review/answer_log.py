"""The file of answers: a line is on disk before it is acknowledged, and none is overwritten."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from sol.validation import explain
from sol.validator.review.answers import (
    Answer,
    Event,
    Given,
    Revealed,
    Undone,
    current_answers,
    format_event,
    is_revealed,
    parse_event,
)
from sol.validator.review.plan import ReviewError


class NotKeptError(ReviewError):
    """An answer that could not be written."""


@dataclass(frozen=True)
class Reading:
    """What a file of answers holds.

    Attributes:
        n_bytes: Of complete lines; a whole line without its end counts as one.
        n_torn: Bytes after them: a line that was cut off when the server was killed.
    """

    events: tuple[Event, ...]
    n_bytes: int
    n_torn: int
    lacks_end: bool


def read_answers(path: Path) -> Reading:
    """Reads the file without touching it; none is an empty one.

    Raises:
        ReviewError: A line other than the last is not an answer, or the file cannot be read.
    """
    try:
        content = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise ReviewError(f"{path} cannot be read: {error.strerror}.") from error
    complete = content if _ends_whole(content) else content[: content.rfind(b"\n") + 1]
    return Reading(
        events=tuple(_parse_lines(path, complete)),
        n_bytes=len(complete),
        n_torn=len(content) - len(complete),
        lacks_end=bool(complete) and not complete.endswith(b"\n"),
    )


class AnswerLog:
    """The answers of one review, open for more.

    Attributes:
        repaired: What was wrong with the file's end, for the reviewer to know; "" if nothing.
    """

    def __init__(self, path: Path) -> None:
        """Reads the file; a last line that was cut off is taken away.

        Raises:
            ReviewError: It cannot be read or written, or a whole line is not an answer.
        """
        self._path = path
        reading = read_answers(path)
        self._events = list(reading.events)
        self.repaired = _describe_torn(reading.n_torn)
        try:
            # Without a buffer: what could not be written must not come later by itself.
            self._file = path.open("ab", buffering=0)
            if reading.n_torn:
                self._file.truncate(reading.n_bytes)
        except OSError as error:
            raise ReviewError(f"{path} cannot be written: {error.strerror}.") from error
        if reading.lacks_end:
            self._write(b"\n")

    @property
    def is_revealed(self) -> bool:
        """Whether the reviewer was told which side was which."""
        return is_revealed(self._events)

    @property
    def current(self) -> dict[str, Answer]:
        """By trial, the answer that counts; in the order in which they were given."""
        return current_answers(self._events)

    def give(self, answer: Answer, when: str) -> None:
        """Records an answer; the same one again (a double click, a retry) adds nothing."""
        present = self.current.get(answer.trial)
        if present is None or replace(present, seconds=answer.seconds) != answer:
            self._append(Given(when, answer))

    def undo(self, trial: str, when: str) -> None:
        """Takes the answer to a trial back."""
        self._append(Undone(when, trial))

    def reveal(self, when: str) -> None:
        """Ends the blind part."""
        if not self.is_revealed:
            self._append(Revealed(when))

    def close(self) -> None:
        """Closes the file; every line is on disk already."""
        self._file.close()

    def _append(self, event: Event) -> None:
        self._write(format_event(event))
        self._events.append(event)

    def _write(self, data: bytes) -> None:
        """On disk when it returns; a part that was written before an error is taken away."""
        end = os.fstat(self._file.fileno()).st_size
        try:
            while data:
                data = data[self._file.write(data) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(end)
            raise NotKeptError(
                f"{self._path} cannot be written: {error.strerror}. "
                "The answer was not kept: make room, then give it again."
            ) from error


def _ends_whole(content: bytes) -> bool:
    """Whether the last line is whole, be it without its end."""
    tail = content[content.rfind(b"\n") + 1 :]
    if not tail:
        return True
    try:
        parse_event(tail)
    except ValueError:
        return False
    return True


def _parse_lines(path: Path, complete: bytes) -> list[Event]:
    events = []
    for number, line in enumerate(complete.splitlines(), start=1):
        try:
            events.append(parse_event(line))
        except ValueError as error:
            reason = explain(error) if isinstance(error, ValidationError) else f"{error}."
            raise ReviewError(
                f"{path}, line {number} is not an answer: {reason} "
                "Restore the file, or start anew with --again."
            ) from error
    return events


def _describe_torn(n_bytes: int) -> str:
    if not n_bytes:
        return ""
    return (
        f"The last line of the answers was cut off after {n_bytes} bytes when the server was "
        "stopped; that trial is asked again."
    )
