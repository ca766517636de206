"""A review that is going on: what is asked next, and what may be done with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from sol.lossless_video import read_lossless
from sol.validator.kept_videos import FOLDER, KeptPair, KeptVideos, load_kept
from sol.validator.review.answer_log import AnswerLog, read_answers
from sol.validator.review.answers import Answer, current_answers, is_revealed
from sol.validator.review.lock import ServerLock
from sol.validator.review.plan import ReviewError, ReviewPlan, Side, Trial, draw_trials
from sol.validator.review.result import ReviewResult, check_statistics, evaluate
from sol.validator.review.sheets import encode_sheet
from sol.validator.review.store import (
    ANSWERS,
    REVIEWS,
    check_plan,
    check_videos,
    clean_reviewer,
    digest_videos,
    find_plan,
    folder_name,
    move_aside,
    shape_of,
    write_plan,
)

_SHEETS_KEPT = 4
"""Both sides of this trial and of the next."""


class UnknownTrialError(ReviewError):
    """No trial of this review."""


class ReviewClosedError(ReviewError):
    """The reviewer knows which side was which, or does not yet and should not."""


@dataclass(frozen=True)
class ReviewRequest:
    """What was asked for.

    Attributes:
        n_pairs: None for every kept pair.
        seed: Of a new plan; a stored one keeps its own.
        again: Begins anew, the earlier review is kept beside it.
        now: Tells the time, ISO 8601.
    """

    run: Path
    n_pairs: int | None
    seed: int
    again: bool
    now: Callable[[], str]


class ReviewSession:
    """One reviewer's review. Every method may be called from any thread."""

    def __init__(self, request: ReviewRequest, reviewer: str) -> None:
        """Resumes the reviewer's review of the run, or begins it.

        Raises:
            SolError: No videos, a review that does not belong to them, another server of the
                same reviewer, SciPy missing, or a folder that cannot be written.
        """
        check_statistics()
        self.reviewer = clean_reviewer(reviewer)
        self.run = request.run
        self.kept = load_kept(request.run)
        self._now = request.now
        self._mutex = threading.Lock()
        folder = request.run / REVIEWS / folder_name(self.reviewer)
        try:
            folder.parent.mkdir(exist_ok=True)
            self._lock = ServerLock(folder.with_name(f"{folder.name}.lock"))
        except OSError as error:
            raise ReviewError(f"{folder.parent} cannot be made: {error.strerror}.") from error
        try:
            self.plan = _resume_or_begin(request, self.reviewer, self.kept, folder)
            self._log = AnswerLog(folder / ANSWERS)
        except BaseException:
            self._lock.release()
            raise
        self._trials = {trial.id: trial for trial in self.plan.trials}
        self._pairs = {pair.id: pair for pair in self.kept.pairs}
        self._read_sheet = lru_cache(_SHEETS_KEPT)(self._encode)

    @property
    def notice(self) -> str:
        """What the reviewer should know of the file of answers; "" if nothing."""
        return self._log.repaired

    @property
    def is_revealed(self) -> bool:
        """Whether the blind part is over."""
        return self._log.is_revealed

    @property
    def answers(self) -> dict[str, Answer]:
        """The answers that count, by trial."""
        with self._mutex:
            return self._log.current

    @property
    def open_trials(self) -> tuple[Trial, ...]:
        """Those without an answer, in the plan's order."""
        answered = self.answers
        return tuple(trial for trial in self.plan.trials if trial.id not in answered)

    def get_trial(self, trial: str) -> Trial:
        """A trial by its id, or UnknownTrialError."""
        if trial not in self._trials:
            raise UnknownTrialError(f"Trial {trial!r} is not of this review: reload the page.")
        return self._trials[trial]

    def get_pair(self, trial: Trial) -> KeptPair:
        """The pair that a trial is about."""
        return self._pairs[trial.pair]

    def give(self, answer: Answer) -> None:
        """Keeps an answer; it is on disk when this returns."""
        self.get_trial(answer.trial)
        if answer.mark is not None and answer.mark.frame >= self.kept.num_frames:
            raise ReviewError(
                f"mark.frame: the last frame is {self.kept.num_frames - 1}, "
                f"got {answer.mark.frame}."
            )
        with self._mutex:
            self._check_blind()
            self._log.give(answer, self._now())

    def undo(self) -> Answer:
        """Takes the latest answer back and returns it."""
        with self._mutex:
            self._check_blind()
            answers = self._log.current
            if not answers:
                raise ReviewError("There is no answer to take back.")
            trial, answer = answers.popitem()
            self._log.undo(trial, self._now())
            return answer

    def reveal(self) -> None:
        """Ends the blind part; all trials must be answered."""
        if n_open := len(self.open_trials):
            raise ReviewClosedError(f"{n_open} trials are open: answer them first.")
        with self._mutex:
            self._log.reveal(self._now())

    def evaluate(self) -> ReviewResult:
        """The result; only once nothing can be answered any more."""
        if not self.is_revealed:
            raise ReviewClosedError("The result is shown after the last answer.")
        return evaluate(self.plan.trials, self.answers)

    def sheet(self, trial: str, side: Side) -> bytes:
        """All frames of one side, as a PNG."""
        known = self.get_trial(trial)
        pair = self.get_pair(known)
        return self._read_sheet(
            pair.baseline if known.arm(side) == "baseline" else pair.accelerated
        )

    def close(self) -> None:
        """Waits for an answer that is being written, and lets another server begin."""
        with self._mutex:
            self._log.close()
            self._lock.release()

    def _check_blind(self) -> None:
        if self._log.is_revealed:
            raise ReviewClosedError(
                "The result has been shown: answers can no longer be changed. "
                "Begin anew with `sol review --again`."
            )

    def _encode(self, file: str) -> bytes:
        return encode_sheet(read_lossless(self.run / FOLDER / file, shape_of(self.kept)))


def find_finished(run: Path, reviewer: str) -> ReviewResult | None:
    """The result of a reviewer's finished review of the run's present videos, if there is one.

    Raises:
        ReviewError: It cannot be read, or was of other videos.
    """
    folder = run / REVIEWS / folder_name(clean_reviewer(reviewer))
    plan = find_plan(folder)
    if plan is None:
        return None
    check_plan(plan, plan.reviewer, digest_videos(run, load_kept(run)), None)
    events = read_answers(folder / ANSWERS).events
    return evaluate(plan.trials, current_answers(events)) if is_revealed(events) else None


def _resume_or_begin(
    request: ReviewRequest, reviewer: str, kept: KeptVideos, folder: Path
) -> ReviewPlan:
    videos = digest_videos(request.run, kept)
    if request.again:
        move_aside(folder)
    plan = find_plan(folder)
    if plan is not None:
        n_pairs = request.n_pairs and min(request.n_pairs, len(kept.pairs))
        check_plan(plan, reviewer, videos, n_pairs)
        return plan
    trials = draw_trials(kept.pairs, request.seed, request.n_pairs)
    check_videos(request.run, kept, trials)
    plan = ReviewPlan(reviewer, request.now(), request.seed, videos, kept.stack, trials)
    folder.mkdir(exist_ok=True)
    write_plan(folder, plan)
    return plan
