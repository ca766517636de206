"""`sol review`, `sol approve` and `sol reject`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sol.cli.app import app, reporting
from sol.cli.options import Json
from sol.terminal import print_error, print_json, print_line

RunFolder = Annotated[Path, typer.Argument(help="The folder of a run.")]
ReviewedRecipe = Annotated[Path, typer.Argument(help="A recipe file, or the folder of its run.")]
Reviewer = Annotated[
    str | None, typer.Option(help="Who says so; by default git's user.name or the login.")
]
Report = Annotated[
    Path | None, typer.Option(help="The run's report.json; by default the one beside the recipe.")
]
WithoutReport = Annotated[bool, typer.Option(help="The reviewer had no report.")]
Again = Annotated[bool, typer.Option(help="Replace the verdict that is there.")]


@app.command()
@reporting
def review(
    run: RunFolder,
    reviewer: Reviewer = None,
    pairs: Annotated[
        int | None, typer.Option(help="Fewer pairs, the worst ones among them.")
    ] = None,
    port: Annotated[int, typer.Option(help="Of the page; 0 for any that is free.")] = 0,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="The browser.")] = True,
    again: Annotated[
        bool, typer.Option(help="Begin anew; the earlier review is kept beside the new one.")
    ] = False,
    json_output: Json = False,
) -> None:
    """Compare a run's videos blind, on a local page; ends with Ctrl-C."""
    from sol.commands.review import ReviewOptions
    from sol.commands.review import review as run_review

    options = ReviewOptions(run, reviewer, pairs, port, open_browser, again)
    summary = run_review(options, print_error if json_output else print_line)
    if json_output:
        print_json(summary.to_json())
        return
    if summary.answered < summary.total:
        print_line(
            f"{summary.answered} of {summary.total} answered and kept; the same command goes on."
        )
    for sentence in summary.words:
        print_line(sentence)
    if summary.approval:
        print_line(f"The recipe is {summary.approval.status}.")


@app.command()
@reporting
def approve(
    recipe: ReviewedRecipe,
    reviewer: Reviewer = None,
    note: Annotated[str | None, typer.Option(help="What should be remembered.")] = None,
    report: Report = None,
    without_report: WithoutReport = False,
    again: Again = False,
    json_output: Json = False,
) -> None:
    """Write a person's approval into a recipe."""
    _decide("approved", recipe, reviewer, note, report, without_report, again, json_output)


@app.command()
@reporting
def reject(
    recipe: ReviewedRecipe,
    note: Annotated[str, typer.Option(help="Why.")],
    reviewer: Reviewer = None,
    report: Report = None,
    without_report: WithoutReport = False,
    again: Again = False,
    json_output: Json = False,
) -> None:
    """Write a person's rejection into a recipe."""
    _decide("rejected", recipe, reviewer, note, report, without_report, again, json_output)


def _decide(
    status: Literal["approved", "rejected"],
    recipe: Path,
    reviewer: str | None,
    note: str | None,
    report: Path | None,
    without_report: bool,
    again: bool,
    json_output: bool,
) -> None:
    from dataclasses import asdict

    from sol.commands.approve import VerdictOptions, record_verdict

    options = VerdictOptions(recipe, reviewer, note, report, without_report, again)
    approval = record_verdict(status, options).approval
    if json_output:
        print_json(asdict(approval))
        return
    print_line(f"{recipe}: {approval.status} by {approval.reviewer}, {approval.when}.")
    if approval.review is not None:
        print_line(f"With the blind review of {approval.review.n_pairs} pairs.")
