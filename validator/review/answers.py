"""What a reviewer says: the records of one answer, and the lines of the log made of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from sol.target import STRICT
from sol.validation import explain, validate_plain
from sol.validator.review.plan import ReviewError, Side

Choice = Literal["left", "right", "none"]
Flaw = Literal["blur", "flicker", "motion", "shape", "colour", "artefact", "other"]

_LONGEST_NOTE = 2000
_N_FLAWS = 7
Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Mark:
    """Where a flaw is: a frame of one side, and the place from the top left, both ends at 1."""

    __pydantic_config__ = STRICT

    side: Side
    frame: Annotated[int, Field(ge=0)]
    x: Fraction
    y: Fraction


@dataclass(frozen=True)
class Answer:
    """Which side is better, "none" for no difference, and what was wrong. `seconds` to decide."""

    __pydantic_config__ = STRICT

    trial: str
    choice: Choice
    flaws: Annotated[tuple[Flaw, ...], Field(max_length=_N_FLAWS)] = ()
    note: Annotated[str, Field(max_length=_LONGEST_NOTE)] = ""
    mark: Mark | None = None
    seconds: Seconds | None = None


@dataclass(frozen=True)
class Given:
    """A line of the log: an answer was given."""

    __pydantic_config__ = STRICT

    when: str
    answer: Answer
    event: Literal["answer"] = "answer"


@dataclass(frozen=True)
class Undone:
    """A line of the log: the answer to a trial was taken back."""

    __pydantic_config__ = STRICT

    when: str
    trial: str
    event: Literal["undo"] = "undo"


@dataclass(frozen=True)
class Revealed:
    """A line of the log: the reviewer was told which side was which. No answer after it."""

    __pydantic_config__ = STRICT

    when: str
    event: Literal["reveal"] = "reveal"


Event = Given | Undone | Revealed
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])
_ANSWER = TypeAdapter(Answer)


def parse_answer(data: Any) -> Answer:
    """Checks plain data strictly.

    Raises:
        ReviewError: A key, type or value that an answer cannot have.
    """
    try:
        return validate_plain(_ANSWER, data)
    except ValidationError as error:
        raise ReviewError(f"Not an answer: {explain(error)}") from error


def parse_event(line: bytes) -> Event:
    """One line of the log, or ValueError."""
    return validate_plain(_EVENT, json.loads(line))


def format_event(event: Event) -> bytes:
    """The line of an event, with its end."""
    return f"{json.dumps(asdict(event), ensure_ascii=False, allow_nan=False)}\n".encode()


def current_answers(events: Iterable[Event]) -> dict[str, Answer]:
    """By trial, the answer that counts; in the order in which they were given."""
    answers: dict[str, Answer] = {}
    for event in events:
        if isinstance(event, Given):
            answers.pop(event.answer.trial, None)
            answers[event.answer.trial] = event.answer
        elif isinstance(event, Undone):
            answers.pop(event.trial, None)
    return answers


def is_revealed(events: Iterable[Event]) -> bool:
    """Whether the reviewer was told which side was which."""
    return any(isinstance(event, Revealed) for event in events)
