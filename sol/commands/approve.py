"""`sol approve` and `sol reject`: a person's verdict, written into the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sol.approval import ApprovalError, decide
from sol.commands.reviewer import find_reviewer, tell_time
from sol.recipe import Approval, BlindReview, Recipe, load_recipe
from sol.validator.kept_videos import FOLDER
from sol.validator.review.session import find_finished
from sol.validator.review.store import RECIPE, REPORT, clean_reviewer


@dataclass(frozen=True)
class VerdictOptions:
    """What the user typed.

    Attributes:
        recipe: A recipe file, or the folder of a run.
        reviewer: None for git's or the login's name.
        report: None for the one beside the recipe.
        without_report: The reviewer had none.
        again: Replaces an earlier verdict.
    """

    recipe: Path
    reviewer: str | None
    note: str | None
    report: Path | None
    without_report: bool
    again: bool


def record_verdict(status: Literal["approved", "rejected"], options: VerdictOptions) -> Recipe:
    """Writes the verdict, with the reviewer's finished blind review of that run if there is one.

    Raises:
        SolError: No name, no recipe or a changed one, no report, or a verdict that is there.
    """
    path = options.recipe / RECIPE if options.recipe.is_dir() else options.recipe
    load_recipe(path)
    reviewer = options.reviewer or find_reviewer()
    if reviewer is None:
        raise ApprovalError("A verdict needs a name: --reviewer NAME.")
    reviewer = clean_reviewer(reviewer)
    approval = Approval(
        status=status,
        reviewer=reviewer,
        note=(options.note or "").strip() or None,
        when=tell_time(),
        review=_find_review(path.parent, reviewer),
    )
    return decide(path, approval, _choose_report(options, path.parent), options.again)


def _choose_report(options: VerdictOptions, folder: Path) -> Path | None:
    if options.without_report and options.report is not None:
        raise ApprovalError("--report and --without-report exclude each other: give one of them.")
    return None if options.without_report else options.report or folder / REPORT


def _find_review(run: Path, reviewer: str) -> BlindReview | None:
    if not (run / FOLDER).is_dir():
        return None
    result = find_finished(run, reviewer)
    return result.to_blind_review() if result else None
