"""What the page is told. Before the end nothing in it depends on which side is which."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from sol.errors import RecipeError
from sol.recipe import load_recipe
from sol.validator.review.answers import Answer
from sol.validator.review.result import Finding
from sol.validator.review.session import ReviewSession
from sol.validator.review.sheets import count_columns
from sol.validator.review.store import RECIPE
from sol.validator.review.words import describe


def show_session(session: ReviewSession, draft: Answer | None = None) -> dict[str, Any]:
    """The page's state: a trial, the end of the trials, or the result.

    Args:
        draft: An answer that was taken back, to be changed.
    """
    n_trials, n_open = len(session.plan.trials), len(session.open_trials)
    common = {
        "run": session.run.name,
        "reviewer": session.reviewer,
        "answered": n_trials - n_open,
        "total": n_trials,
        "notice": session.notice,
        "player": _describe_player(session),
    }
    if session.is_revealed:
        return common | {"phase": "result"} | _show_result(session)
    if not n_open:
        return common | {"phase": "answered"}
    return common | {"phase": "trial", "draft": asdict(draft) if draft else None} | _ask(session)


def _describe_player(session: ReviewSession) -> dict[str, Any]:
    kept = session.kept
    return {
        "frames": kept.num_frames,
        "columns": count_columns(kept.num_frames),
        "width": kept.width,
        "height": kept.height,
        "fps": kept.fps,
    }


def _ask(session: ReviewSession) -> dict[str, Any]:
    trial, *later = session.open_trials
    return {
        "trial": {"id": trial.id, "prompt": session.get_pair(trial).prompt},
        "next": later[0].id if later else None,
    }


def _show_result(session: ReviewSession) -> dict[str, Any]:
    result = session.evaluate()
    return {
        "words": describe(result),
        "stack": session.plan.stack,
        "findings": [_show_finding(session, finding) for finding in result.findings],
        "recipe": _show_recipe(session.run / RECIPE),
    }


def _show_finding(session: ReviewSession, finding: Finding) -> dict[str, Any]:
    pair = session.get_pair(finding.trial)
    return {
        "trial": finding.trial.id,
        "pair": pair.id,
        "prompt": pair.prompt,
        "seed": pair.seed,
        "left": finding.trial.left,
        "right": finding.trial.right,
        "identical": finding.trial.is_catch,
        "preferred": finding.preferred,
        "marked": finding.marked,
        "answer": asdict(finding.answer),
    }


def _show_recipe(path: Path) -> dict[str, Any]:
    """Whether there is something to approve, and what was said of it."""
    if not path.exists():
        return {"problem": "The run accepted nothing: there is no recipe to approve or reject."}
    try:
        approval = load_recipe(path).approval
    except RecipeError as error:
        return {"problem": str(error)}
    said = {"status": approval.status, "reviewer": approval.reviewer, "note": approval.note}
    return {"problem": "", "when": approval.when, **said}
