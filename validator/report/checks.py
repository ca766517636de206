"""The page's sections on what was decided: every check, every look, every kind of prompts."""

from __future__ import annotations

from itertools import groupby

from sol.validator.report.headroom import draw_headroom, draw_ruler, find_headroom
from sol.validator.report.markup import Child, Markup, badge, element, join, scroll, table
from sol.validator.report.numbers import NONE, show
from sol.validator.verdict import Check, Look, StratumFinding, Verdict

_STAGES = ("confirmation", "screening", "probes")
_HEAD = ("Check", "Result", "Baseline", "Accelerated", "Value", "Bound", "Limit", "n")
_GOOD = {"accepted": True, "rejected": False}


def show_checks(verdict: Verdict) -> Markup:
    """Every check of a verdict by its stage, the failed ones first; then looks and strata."""
    source = (
        f"Backend {verdict.label}; profile {verdict.profile}, "
        f"SHA-256 {verdict.profile_digest[:16]}; decided at {verdict.stage}."
    )
    legend = (
        "Value (dot) and confidence bound (bar) against the limit (line), all rows on one scale: "
        "shaded is beyond the limit, +1 is all the room there is: no change at all for a "
        "difference or a ratio, a perfect score for a floor (for PSNR, twice the limit). "
        "Value is a difference, a ratio, a mean or the lowest of all, as the check's name says."
    )
    return join(
        element("p", source, class_="quiet"),
        scroll(f"Checks of profile {verdict.profile}", _table_of_checks(verdict)),
        element("p", legend, class_="quiet"),
        _show_looks(verdict.looks),
        _show_strata(verdict.strata),
    )


def _table_of_checks(verdict: Verdict) -> Markup:
    checks = sorted(verdict.checks, key=_rank)
    titles = (element("th", text, scope="col", class_=_class_of(text)) for text in _HEAD)
    picture = element("th", "Room to the limit", draw_ruler(), scope="col")
    return element(
        "table",
        element("thead", element("tr", *titles, picture)),
        *(_show_stage(stage, list(group)) for stage, group in groupby(checks, lambda c: c.stage)),
        class_="checks",
    )


def _rank(check: Check) -> tuple[int, bool, float]:
    """By stage, what decides first; then failed first, then nearest to the limit."""
    stage = _STAGES.index(check.stage) if check.stage in _STAGES else len(_STAGES)
    headroom = find_headroom(check)
    return (stage, check.passed, float("inf") if headroom is None else headroom)


def _show_stage(stage: str, checks: list[Check]) -> Markup:
    n_failed = sum(not check.passed for check in checks)
    words = f"{stage.capitalize()}: {len(checks)} checks, {n_failed} failed"
    if len(checks) == 1:
        words = f"{stage.capitalize()}: 1 check, {'failed' if n_failed else 'passed'}"
    title = element("th", words, scope="rowgroup", colspan=len(_HEAD) + 1, class_="stage-name")
    return element("tbody", element("tr", title), *(_row(check) for check in checks))


def _row(check: Check) -> Markup:
    name = element(
        "td", element("code", check.name), element("div", check.detail, class_="detail")
    )
    numbers = (
        show(check.baseline),
        show(check.accelerated),
        show(check.value),
        show(check.bound),
        _show_limit(check),
        str(check.n),
    )
    return element(
        "tr",
        name,
        element("td", badge(check.passed, "passed" if check.passed else "failed")),
        *(element("td", text, class_="number") for text in numbers),
        element("td", draw_headroom(check) or NONE),
        class_=None if check.passed else "failed",
    )


def _show_limit(check: Check) -> str:
    """The margin with its direction, held together by a non-breaking space."""
    if check.margin is None:
        return NONE
    return f"{'≥' if check.rule == '>=' else '≤'}\N{NO-BREAK SPACE}{check.margin:g}"


def _class_of(title: str) -> str | None:
    return None if title in ("Check", "Result") else "number"


def _show_looks(looks: tuple[Look, ...]) -> Markup | None:
    if not looks:
        return None
    rows: list[tuple[Child, ...]] = [
        (
            look.phase,
            str(look.n_prompts),
            f"{100 * look.confidence:.4g}%",
            _outcome(look.outcome),
            look.reason,
        )
        for look in looks
    ]
    head = ("Phase", "Prompts so far", "Confidence of a bound", "Outcome", "Reason")
    return join(element("h3", "Looks at the growing evidence"), table("Looks", head, rows))


def _outcome(outcome: str) -> Markup:
    if outcome in _GOOD:
        return badge(_GOOD[outcome], outcome)
    return element("span", outcome, class_="badge")


def _show_strata(strata: tuple[StratumFinding, ...]) -> Markup | None:
    """As they come: the worst first."""
    if not strata:
        return None
    rows: list[tuple[Child, ...]] = [
        (
            finding.stratum,
            str(finding.n_prompts),
            element("code", _as_check(finding).name),
            show(finding.value),
            show(finding.bound),
            _show_limit(check := _as_check(finding)),
            draw_headroom(check),
        )
        for finding in strata
    ]
    head = (
        "Kind of prompts",
        "Prompts",
        "Nearest to its limit",
        "Value",
        "Bound",
        "Limit",
        "Room",
    )
    return join(
        element("h3", "Kinds of prompts, the worst first"), table("Kinds of prompts", head, rows)
    )


def _as_check(finding: StratumFinding) -> Check:
    """Strata are held against floors, and against differences, whose limits are negative."""
    kind = "floor" if finding.margin > 0 else "difference"
    return Check(
        name=f"{finding.metric}_{kind}",
        passed=finding.bound is not None and finding.bound >= finding.margin,
        value=finding.value,
        bound=finding.bound,
        margin=finding.margin,
        n=finding.n_prompts,
        detail=f"{finding.stratum}: {finding.metric}",
    )
