"""The run report as one HTML file: no network, no script, no library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template

from sol.validator.report.markup import Markup, element, join
from sol.validator.report.model import RunReport
from sol.validator.report.quality import show_checks, show_clips
from sol.validator.report.redundancy import show_redundancy
from sol.validator.report.scatter import draw_frontier
from sol.validator.report.sections import (
    show_agents,
    show_environment,
    show_members,
    show_other_stacks,
    show_speed,
    show_verdict,
)

_TEMPLATE = Path(__file__).parent / "page.html"


def render_html(report: RunReport, clips: Mapping[str, bytes]) -> str:
    """One self-contained page; all text from the report is escaped.

    Args:
        clips: WebP files by the name that `report.clips` gives them; they are embedded.
    """
    template = Template(_TEMPLATE.read_text(encoding="utf-8"))
    return template.substitute(title=join(f"Sol: {report.headline}"), body=_lay_out(report, clips))


def _lay_out(report: RunReport, clips: Mapping[str, bytes]) -> Markup:
    winner = report.winning_stack
    return join(
        show_verdict(report),
        _section("Speed", show_speed(report)),
        _section("The stack", show_members(report)),
        _section("Speed against fidelity", draw_frontier(report)),
        _section("Checks", show_checks(winner.verdict)) if winner and winner.verdict else None,
        _section("Clips, worst first", _legend(), show_clips(report.clips, clips))
        if report.clips
        else None,
        _section("What changes from step to step", show_redundancy(report)),
        _section("What the agents tried", show_agents(report)),
        _section("Other stacks", show_other_stacks(report)),
        _section("Environment", show_environment(report)),
    )


def _section(title: str, *content: Markup) -> Markup:
    return element("section", element("h2", title), *content)


def _legend() -> Markup:
    return element("p", "Baseline on the left, accelerated on the right.", class_="quiet")
