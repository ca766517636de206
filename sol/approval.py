"""A reviewer's verdict, written into a recipe."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from sol.errors import SolError
from sol.recipe import Approval, Recipe, dump_recipe, load_recipe


class ApprovalError(SolError):
    """A verdict that cannot be recorded, with the remedy."""


def decide(path: Path, approval: Approval, report: Path | None, again: bool = False) -> Recipe:
    """Puts a verdict into a recipe, with the digest of the report that the reviewer had.

    The file is the old one or the new one, never a part.

    Args:
        report: The run's report.json, or None where the reviewer had none.
        again: Replaces the verdict that is there.

    Raises:
        RecipeError: No recipe, or one that was changed after it was written.
        ApprovalError: It has a verdict already, a rejection without a note, a report that is
            missing or of another run, or a folder that cannot be written.
    """
    recipe = load_recipe(path)
    _check_note(approval)
    _check_unreviewed(recipe.approval, path, again)
    digest = None if report is None else digest_report(report, recipe.provenance.run_id)
    decided = replace(recipe, approval=replace(approval, report=digest))
    try:
        _replace_text(path.resolve(), dump_recipe(decided))
    except OSError as error:
        raise ApprovalError(
            f"{path} cannot be written: {error.strerror}. Make it writable, then repeat."
        ) from error
    return decided


def digest_report(report: Path, run_id: str) -> str:
    """SHA-256 of a run's report, as `approval.report` has it.

    Raises:
        ApprovalError: No such file, not a report, or the report of another run than `run_id`.
    """
    try:
        content = report.read_bytes()
        data: Any = json.loads(content)
    except OSError as error:
        raise ApprovalError(
            f"The report {report} cannot be read: {error.strerror}. "
            "Name it with --report FILE, or say --without-report."
        ) from error
    except ValueError as error:
        raise ApprovalError(f"{report} is not a report: {error}.") from error
    found = data.get("run_id") if isinstance(data, dict) else None
    if found != run_id:
        raise ApprovalError(
            f"{report} is the report of run {found!r}, the recipe is of run {run_id!r}: "
            "name the recipe's own report with --report FILE."
        )
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _check_note(approval: Approval) -> None:
    if approval.status == "rejected" and not (approval.note or "").strip():
        raise ApprovalError("A rejection needs a note that says why.")


def _check_unreviewed(earlier: Approval, path: Path, again: bool) -> None:
    if earlier.status == "unreviewed" or again:
        return
    said = f", with the note {earlier.note!r}" if earlier.note else ""
    raise ApprovalError(
        f"{path} is {earlier.status} already, by {earlier.reviewer} on "
        f"{earlier.when or 'an unknown date'}{said}. Pass --again to replace that."
    )


def _replace_text(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(path, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Makes the renaming last through a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
