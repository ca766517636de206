"""RUN/diagnosis.html: what is known before the search, written before its first trial."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from statistics import fmean

from sol.diagnosis import Diagnosis, Redundancy
from sol.search.whole_file import write_whole
from sol.stages.prospects import Prospects, Sensitivity, TechniqueBound
from sol.stages.report import make_report
from sol.stages.request import Session
from sol.validator.report.markup import Child, Markup, element, join, table
from sol.validator.report.model import RunReport
from sol.validator.report.player import page_style
from sol.validator.report.redundancy import show_redundancy
from sol.validator.report.sections import show_environment
from sol.validator.report.time_shares import show_time_shares

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_WIDTH, _HEIGHT, _GAP = 360, 44, 1


def write_diagnosis_page(session: Session, prospects: Prospects) -> Path:
    """One self-contained file without scripts; its path.

    Raises:
        OutputError: It cannot be written.
    """
    report = replace(
        make_report(session, {}, (), ()),
        bounds=prospects.bounds,
        not_tried=prospects.not_tried,
    )
    page = session.request.folder / "diagnosis.html"
    write_whole(page, _render(report, prospects, session.diagnosis))
    return page


def _render(report: RunReport, prospects: Prospects, diagnosis: Diagnosis) -> str:
    title = f"Sol: diagnosis of {report.target.model.id} on {report.target.hardware.name}"
    sections = {
        "Where the time goes": show_time_shares(report),
        "What each technique could gain at most": _show_techniques(prospects.techniques),
        "What changes from step to step": show_redundancy(report),
        "What changes from block to block": _show_blocks(diagnosis.redundancy),
        "How sensitive the parts are": _show_sensitivities(prospects.sensitivities),
        "Environment": show_environment(report),
    }
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
        element("title", title),
        element("style", Markup(_read_style())),
    )
    main = element(
        "main",
        element("header", element("h1", title), element("p", _describe_state(prospects))),
        *(_section(name, content) for name, content in sections.items()),
    )
    return f"<!doctype html>\n{element('html', head, element('body', main), lang='en')}\n"


def _describe_state(prospects: Prospects) -> str:
    total = sum(share.seconds for share in prospects.times)
    return (
        f"One baseline video takes {total:.3g} s. Written before the first trial: bounds are what "
        "a video would gain if the work cost nothing, not what was measured."
    )


def _section(title: str, content: Markup | None) -> Markup | None:
    return None if content is None else element("section", element("h2", title), content)


def _show_techniques(bounds: Sequence[TechniqueBound]) -> Markup | None:
    if not bounds:
        return None
    ordered = sorted(bounds, key=lambda item: -item.bound)
    rows: list[tuple[Child, ...]] = [
        (element("code", item.technique), item.skill, f"{item.bound:.2f}x") for item in ordered
    ]
    return table("Bounds of techniques", ("Technique", "Skill", "At most"), rows)


def _show_blocks(redundancy: Redundancy | None) -> Markup | None:
    if redundancy is None or not redundancy.block_change:
        return None
    changes = [fmean(block) for block in redundancy.block_change]
    words = (
        "The relative change of each block's residual against the step before, mean over the "
        "steps; a bar for each block, the first on the left."
    )
    row = _row_of_bars("residuals of blocks", changes)
    head = ("What", "Blocks", "Change by block", "Range")
    return join(element("p", words, class_="quiet"), table("Blocks", head, [row]))


def _show_sensitivities(sensitivities: Sequence[Sensitivity]) -> Markup | None:
    rows = [_row_of_bars(item.technique, item.errors) for item in sensitivities if item.errors]
    if not rows:
        return None
    words = (
        "The relative error of the denoiser's output on recorded calls, where a technique touches "
        "one part alone; a bar for each part, the first block on the left."
    )
    head = ("Technique", "Parts", "Error by part", "Range")
    return join(element("p", words, class_="quiet"), table("Sensitivity", head, rows))


def _row_of_bars(name: str, values: Sequence[float]) -> tuple[Child, ...]:
    spread = f"{min(values):.2%} to {max(values):.2%}"
    return (element("code", name), str(len(values)), _draw_bars(name, values), spread)


def _draw_bars(name: str, values: Sequence[float]) -> Markup:
    """A bar for each value, zero at the bottom."""
    top = max(*values, 1e-12, 0.0)
    step = _WIDTH / len(values)
    heights = [_HEIGHT * value / top for value in values]
    bars = (
        element(
            "rect",
            x=round(place * step, 1),
            y=round(_HEIGHT - height, 1),
            width=round(max(step - _GAP, _GAP), 1),
            height=round(height, 1),
            class_="gain",
        )
        for place, height in enumerate(heights)
    )
    return element(
        "svg",
        *bars,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        role="img",
        aria_label=f"{name}: a bar for each of {len(values)}",
    )


def _read_style() -> str:
    sheet = files("sol.validator.report").joinpath("page.css").read_text(encoding="utf-8")
    return page_style() + sheet
