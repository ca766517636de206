"""`sol review`: serves the blind review of a run to one reviewer, until it is interrupted."""

from __future__ import annotations

import secrets
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sol.commands.reviewer import find_reviewer, tell_time
from sol.errors import OutputError, SolError
from sol.recipe import Approval, load_recipe
from sol.validator.kept_videos import load_kept
from sol.validator.review.routes import ReviewDesk
from sol.validator.review.server import ReviewServer
from sol.validator.review.session import ReviewRequest, ReviewSession
from sol.validator.review.store import RECIPE, REVIEWS
from sol.validator.review.words import describe

_SEED_BITS = 64
_TOKEN_BYTES = 32
_POLL_S = 0.2
_ONLY_OWNER = 0o600


@dataclass(frozen=True)
class ReviewOptions:
    """What the user typed.

    Attributes:
        reviewer: None for git's or the login's name, or else the page asks.
        n_pairs: None for every kept pair.
        port: 0 for any that is free.
        again: Begins anew; the earlier review is kept beside the new one.
    """

    run: Path
    reviewer: str | None
    n_pairs: int | None
    port: int
    opens_browser: bool
    again: bool


@dataclass(frozen=True)
class ReviewSummary:
    """How far a review is when its server ends.

    Attributes:
        words: The result, once it was shown.
        approval: What the recipe says; None without a recipe.
    """

    reviewer: str | None
    answered: int
    total: int
    words: tuple[str, ...]
    approval: Approval | None

    def to_json(self) -> dict[str, Any]:
        """What `sol review --json` prints."""
        return {
            "reviewer": self.reviewer,
            "answered": self.answered,
            "total": self.total,
            "result": list(self.words),
            "approval": self.approval.status if self.approval else None,
        }


def review(options: ReviewOptions, announce: Callable[[str], None]) -> ReviewSummary:
    """Serves until Ctrl-C or SIGTERM.

    Args:
        announce: Hears what the reviewer needs to know: the address first of all.

    Raises:
        SolError: Nothing to review, a review that does not fit, or the port is taken.
    """
    load_kept(options.run)
    seed = secrets.randbits(_SEED_BITS)
    request = ReviewRequest(options.run, options.n_pairs, seed, options.again, tell_time)
    desk = ReviewDesk(request, options.reviewer or find_reviewer())
    try:
        with ReviewServer(desk, secrets.token_urlsafe(_TOKEN_BYTES), options.port) as server:
            _introduce(desk, server, announce)
            with _opened_browser(server, options):
                _serve(server)
        return _summarise(desk)
    finally:
        desk.close()


def _introduce(desk: ReviewDesk, server: ReviewServer, announce: Callable[[str], None]) -> None:
    announce(f"Review page: {server.url}")
    announce(
        f"From another machine: ssh -L {server.port}:127.0.0.1:{server.port} to this one, then "
        "the same address. Ctrl-C ends it; every answer is kept at once."
    )
    session = desk.session
    if session is not None:
        n_answered = len(session.answers)
        announce(f"{session.reviewer}: {n_answered} of {len(session.plan.trials)} answered.")
        if session.notice:
            announce(session.notice)
    if not (desk.request.run / RECIPE).exists():
        announce("The run accepted nothing: there are videos to look at, nothing to approve.")


@contextmanager
def _opened_browser(server: ReviewServer, options: ReviewOptions) -> Iterator[None]:
    """Opens the page through a file that only this user can read.

    As an argument of the browser's process the address would be there for every user to see.
    """
    if not options.opens_browser:
        yield
        return
    page = options.run.resolve() / REVIEWS / f".open-{server.port}.html"
    try:
        page.parent.mkdir(exist_ok=True)
        page.touch(mode=_ONLY_OWNER)
        page.write_text(f'<meta http-equiv="refresh" content="0; url={server.url}">')
    except OSError as error:
        raise OutputError(
            f"Cannot write into {page.parent}, where answers are kept: {error.strerror}. Make the "
            "run's folder writable, or copy the run."
        ) from error
    # In a thread of its own: a text browser would keep the server from answering.
    threading.Thread(target=webbrowser.open, args=(page.as_uri(),), daemon=True).start()
    try:
        yield
    finally:
        page.unlink(missing_ok=True)


def _serve(server: ReviewServer) -> None:
    try:
        server.serve_forever(_POLL_S)
    except KeyboardInterrupt:
        return


def _summarise(desk: ReviewDesk) -> ReviewSummary:
    session = desk.session
    approval = _find_approval(desk.request.run / RECIPE)
    if session is None:
        return ReviewSummary(None, 0, 0, (), approval)
    return ReviewSummary(
        reviewer=session.reviewer,
        answered=len(session.answers),
        total=len(session.plan.trials),
        words=_describe(session),
        approval=approval,
    )


def _describe(session: ReviewSession) -> tuple[str, ...]:
    return describe(session.evaluate()) if session.is_revealed else ()


def _find_approval(path: Path) -> Approval | None:
    try:
        return load_recipe(path).approval
    except SolError:
        return None
