"""The run report as one HTML file: no network, no library, one script that its hash allows."""

from __future__ import annotations

from pathlib import Path
from string import Template

from sol.validator.report.checks import show_checks
from sol.validator.report.contributions import show_contributions
from sol.validator.report.interactions import show_interactions
from sol.validator.report.markup import Child, Markup, element, join
from sol.validator.report.model import RunReport
from sol.validator.report.pairs import Sheets, show_clips
from sol.validator.report.player import hash_source, page_style, player_script
from sol.validator.report.predictions import show_predictions
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
from sol.validator.report.stack_table import show_stacks
from sol.validator.report.strips import show_strips
from sol.validator.report.time_shares import show_time_shares

_FOLDER = Path(__file__).parent


def render_html(report: RunReport, sheets: Sheets) -> str:
    """One self-contained page; all text from the report is escaped.

    Args:
        sheets: The frames of both arms by the id of a clip in `report.clips`; they are embedded.
    """
    template = Template((_FOLDER / "page.html").read_text(encoding="utf-8"))
    script = player_script()
    return template.substitute(
        title=join(f"Sol: {report.headline}"),
        style=page_style() + (_FOLDER / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=hash_source(script),
        body=_lay_out(report, sheets),
    )


def _lay_out(report: RunReport, sheets: Sheets) -> Markup:
    sections = [
        (title, anchor, content)
        for title, anchor, content in _list_sections(report, sheets)
        if content is not None
    ]
    return join(
        show_verdict(report),
        _link_sections([(title, anchor) for title, anchor, _ in sections]),
        *(_section(title, anchor, content) for title, anchor, content in sections),
    )


def _list_sections(report: RunReport, sheets: Sheets) -> list[tuple[str, str, Markup | None]]:
    """Title, anchor and content; what a run has not is None."""
    judged = report.judged_stack
    verdict = judged.verdict if judged else None
    checks = verdict.checks if verdict else ()
    whose = f" of {judged.label}" if judged and report.winner is None else ""
    return [
        ("Speed", "speed", show_speed(report)),
        (f"Checks{whose}", "checks", show_checks(verdict) if verdict else None),
        ("Every pair", "pairs", show_strips(report.pairs, checks) if report.pairs else None),
        (
            "Side by side, worst pairs first",
            "players",
            show_clips(report.clips, sheets) if report.pairs else None,
        ),
        ("The stack", "stack", show_members(report)),
        ("What each member adds", "contributions", show_contributions(report.contributions)),
        ("Speed against fidelity", "frontier", draw_frontier(report)),
        ("The stacks", "stacks", show_stacks(report)),
        ("Predicted against measured", "predictions", show_predictions(report)),
        ("What members do to one another", "interactions", show_interactions(report)),
        ("Where the time goes", "time", show_time_shares(report)),
        ("What changes from step to step", "redundancy", show_redundancy(report)),
        ("What the agents tried", "agents", show_agents(report)),
        ("Other stacks near the gate", "others", show_other_stacks(report)),
        ("Environment", "environment", show_environment(report)),
    ]


def _link_sections(titles: list[tuple[str, str]]) -> Markup:
    links = (element("li", element("a", title, href=f"#{anchor}")) for title, anchor in titles)
    return element("nav", element("ul", *links), aria_label="Sections")


def _section(title: str, anchor: str, content: Child) -> Markup:
    return element("section", element("h2", title), content, id=anchor)
