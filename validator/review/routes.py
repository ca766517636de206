"""What each address of the review page answers. Who may ask is decided before, by the server."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import TypeAdapter, ValidationError

from sol.approval import ApprovalError, decide
from sol.errors import SolError
from sol.lossless_video import VideoFileError
from sol.recipe import Approval
from sol.target import STRICT
from sol.validation import explain, validate_plain
from sol.validator.report.player import page_style, player_script
from sol.validator.review.answer_log import NotKeptError
from sol.validator.review.answers import parse_answer
from sol.validator.review.session import (
    ReviewClosedError,
    ReviewRequest,
    ReviewSession,
    UnknownTrialError,
)
from sol.validator.review.store import RECIPE, REPORT
from sol.validator.review.view import show_session

_FOLDER = Path(__file__).parent
_JSON: Final = "application/json"
_OK, _BAD, _NOT_FOUND, _CONFLICT, _BROKEN, _FULL = 200, 400, 404, 409, 500, 507


@dataclass(frozen=True)
class Reply:
    """One answer of the server."""

    status: int
    content: bytes
    media_type: str


@dataclass(frozen=True)
class Decision:
    """A verdict from the page."""

    __pydantic_config__ = STRICT

    status: Literal["approved", "rejected"]
    note: str = ""
    again: bool = False


@dataclass(frozen=True)
class _Name:
    __pydantic_config__ = STRICT

    name: str


class ReviewDesk:
    """The review that a server serves; without a session until the reviewer has a name."""

    def __init__(self, request: ReviewRequest, reviewer: str | None) -> None:
        """Begins or resumes the session, if the reviewer is known.

        Raises:
            SolError: See `ReviewSession`.
        """
        self.request = request
        self._mutex = threading.Lock()
        self.session = ReviewSession(request, reviewer) if reviewer else None

    def name_reviewer(self, name: str) -> None:
        """Begins the session; whoever comes first gives the name."""
        with self._mutex:
            if self.session is None:
                self.session = ReviewSession(self.request, name)

    def get_session(self) -> ReviewSession:
        """The session, or ReviewClosedError."""
        if self.session is None:
            raise ReviewClosedError("Give your name first: reload the page.")
        return self.session

    def close(self) -> None:
        """Lets another server begin."""
        if self.session is not None:
            self.session.close()


def respond(desk: ReviewDesk, method: str, path: str, body: Any = None) -> Reply:
    """The reply to a request that may be made.

    Args:
        path: What follows the token, without a slash before it.
        body: The request's JSON, of a POST.
    """
    try:
        if method == "POST":
            return _act(desk, path, body)
        return _show(desk, path)
    except VideoFileError:
        # Its message has the file's path, and that says which arm it is.
        return reply_error(_BROKEN, "A video of this trial can no longer be read: tune again.")
    except (SolError, ValidationError) as error:
        text = explain(error) if isinstance(error, ValidationError) else str(error)
        return reply_error(_status_of(error), text)


def reply_error(status: int, text: str) -> Reply:
    """What was wrong, for the page to show."""
    return _reply_json({"error": text}, status)


def _show(desk: ReviewDesk, path: str) -> Reply:
    if path in _FILES:
        media_type, read = _FILES[path]
        return Reply(_OK, read().encode(), media_type)
    if path == "state":
        return _state(desk)
    match path.split("/"):
        case ["sheet", trial, "left" | "right" as side]:
            return Reply(_OK, desk.get_session().sheet(trial, side), "image/png")
    return _no_such(path)


def _act(desk: ReviewDesk, path: str, body: Any) -> Reply:
    action = _ACTIONS.get(path)
    return action(desk, body) if action else _no_such(path)


def _name(desk: ReviewDesk, body: Any) -> Reply:
    desk.name_reviewer(validate_plain(_NAME, body).name)
    return _state(desk)


def _give(desk: ReviewDesk, body: Any) -> Reply:
    desk.get_session().give(parse_answer(body))
    return _state(desk)


def _undo(desk: ReviewDesk, body: Any) -> Reply:
    session = desk.get_session()
    draft = session.undo()
    return _reply_json(show_session(session, draft))


def _reveal(desk: ReviewDesk, body: Any) -> Reply:
    desk.get_session().reveal()
    return _state(desk)


def _decide(desk: ReviewDesk, body: Any) -> Reply:
    decision = validate_plain(_DECISION, body)
    session = desk.get_session()
    approval = Approval(
        status=decision.status,
        reviewer=session.reviewer,
        note=decision.note.strip() or None,
        when=desk.request.now(),
        review=session.evaluate().to_blind_review(),
    )
    run = session.run
    decide(run / RECIPE, approval, run / REPORT, decision.again)
    return _state(desk)


def _state(desk: ReviewDesk) -> Reply:
    if desk.session is None:
        return _reply_json({"phase": "name", "run": desk.request.run.name})
    return _reply_json(show_session(desk.session))


def _no_such(path: str) -> Reply:
    return reply_error(_NOT_FOUND, f"Nothing at {path!r}.")


def _reply_json(data: Mapping[str, Any], status: int = _OK) -> Reply:
    return Reply(status, json.dumps(data, ensure_ascii=False).encode(), _JSON)


def _status_of(error: Exception) -> int:
    by_type = (
        (UnknownTrialError, _NOT_FOUND),
        (ReviewClosedError, _CONFLICT),
        (ApprovalError, _CONFLICT),
        (NotKeptError, _FULL),
    )
    return next((status for kind, status in by_type if isinstance(error, kind)), _BAD)


def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


_NAME = TypeAdapter(_Name)
_DECISION = TypeAdapter(Decision)
_FILES: Mapping[str, tuple[str, Callable[[], str]]] = {
    "": ("text/html; charset=utf-8", lambda: _read("review.html")),
    "review.css": ("text/css; charset=utf-8", lambda: page_style() + _read("review.css")),
    "review.js": ("text/javascript; charset=utf-8", lambda: _read("review.js")),
    "result.js": ("text/javascript; charset=utf-8", lambda: _read("result.js")),
    "player.js": ("text/javascript; charset=utf-8", player_script),
}
_ACTIONS: Mapping[str, Callable[[ReviewDesk, Any], Reply]] = {
    "reviewer": _name,
    "answer": _give,
    "undo": _undo,
    "reveal": _reveal,
    "decision": _decide,
}
