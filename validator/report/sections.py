"""The page's sections on what was found, tried and measured."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sol.validator.report.checks import show_checks
from sol.validator.report.markup import Child, Markup, badge, element, join, table
from sol.validator.report.model import RunReport, StartCost
from sol.validator.report.numbers import NONE, show, show_bytes, show_interval
from sol.validator.report.stack import StackReport

_LONGEST_SHOWN = 8
_MEMORY_ROWS = (
    ("Weights in use", "weights_bytes"),
    ("Kept besides, for undo", "kept_bytes"),
    ("Peak while generating", "peak_bytes"),
)


def show_verdict(report: RunReport) -> Markup:
    """The outcome, what decided it, and under which gate."""
    accepted = report.outcome == "accepted"
    label = next((s.verdict.label for s in report.stacks if s.verdict), None)
    judge = f" · judged by {label}" if label else None
    first_line = ("Sol run report · ", element("code", report.run_id), judge)
    return element(
        "header",
        element("p", *first_line, class_="quiet"),
        element("h1", badge(accepted, report.outcome.capitalize()), " ", report.headline),
        _list_reasons(report),
        class_="good" if accepted else "bad",
    )


def show_speed(report: RunReport) -> Markup:
    """The speed-up with its interval, beside what it is a ratio of."""
    stack = report.winning_stack
    tiles = [("Baseline, one video", show_interval(report.baseline_s, " s"))]
    if stack:
        speedup = show_interval(stack.speedup, "x")
        predicted = show(stack.predicted_speedup, "x")
        tiles = [("Speed-up, 95% interval", speedup), *tiles, ("Predicted speed-up", predicted)]
        tiles.append(("PSNR to the baseline", show(stack.psnr, " dB")))
        tiles += _start_tiles(report.cold_start)
    return element("dl", *(_tile(name, text) for name, text in tiles), class_="tiles")


def _start_tiles(cost: StartCost | None) -> list[tuple[str, str]]:
    """What the stack costs once, and when that is paid for."""
    if cost is None:
        return [("Cold start", "not measured")]
    whole = show(cost.install_s + cost.first_extra_s, " s")
    first = show(cost.first_extra_s, " s")
    parts = f"{show(cost.install_s, ' s')} to install, a first video {first} longer"
    pays = "never" if cost.break_even is None else f"{cost.break_even} videos"
    return [("Cold start, once", f"{whole} ({parts})"), ("Pays for itself after", pays)]


def show_members(report: RunReport) -> Markup:
    """The accepted stack: each technique, its settings, and what it counted while it ran."""
    stack = report.winning_stack
    if stack is None:
        return element("p", "No stack was accepted, so there is no recipe.")
    rows: list[tuple[Child, ...]] = [
        (
            element("code", str(member.get("technique", NONE))),
            _as_code(member.get("config")),
            _as_code(member.get("schedule")),
            _counts(report.evidence.get(str(member.get("technique")), {})),
        )
        for member in stack.members
    ]
    head = ("Technique", "Config", "Schedule", "Counted while running")
    return join(
        table("Members of the accepted stack", head, rows),
        _show_edge(stack),
    )


def show_agents(report: RunReport) -> Markup:
    """What each agent tried, and everything it measured."""
    agents = [(a.skill, str(a.trials), str(a.kept), a.status, a.note) for a in report.agents]
    points = [
        (p.skill, p.label, show(p.speedup, "x"), show(p.psnr, " dB"), p.status, p.reason)
        for p in report.frontier
    ]
    head = ("Skill", "Setting", "Speed-up", "PSNR", "Status", "Reason")
    return join(
        table("Agents", ("Skill", "Trials", "Kept", "Status", "Note"), list(agents)),
        _list_edges(report),
        element(
            "details",
            element("summary", f"All {len(points)} measured settings"),
            table("Measured settings", head, list(points)),
        ),
    )


def show_other_stacks(report: RunReport) -> Markup:
    """What was found at the gate, or on the way there, of the stacks that did not win."""
    stacks = [s for i, s in enumerate(report.stacks) if i != report.winner]
    others = [stack for stack in stacks if stack.verdict or stack.edge]
    if not others:
        return element("p", "No other stack came near the gate.")
    return join(*(_show_stack(stack) for stack in others))


def show_environment(report: RunReport) -> Markup:
    """The target, versions, memory and digests that the numbers hold for."""
    target = asdict(report.target)
    facts = [(f"{part}.{key}", _text(v)) for part in target for key, v in target[part].items()]
    facts += [("target fingerprint", report.target.fingerprint)]
    facts += [("gate profile", report.profile), ("profile SHA-256", report.profile_digest)]
    facts += [("created", report.created), *sorted(report.versions.items())]
    rows: list[tuple[Child, ...]] = [(name, element("code", text)) for name, text in facts]
    return join(_show_memory(report), table("Environment", ("What", "Value"), rows))


def _list_reasons(report: RunReport) -> Markup:
    winner = report.winning_stack
    if winner and winner.verdict:
        n = len(winner.verdict.checks)
        return element("p", f"All {n} checks passed; each had to.")
    judged = [stack for stack in report.stacks if stack.verdict]
    reasons = [(stack.label, reason) for stack in judged for reason in _reasons_of(stack)]
    if not reasons:
        return element("p", "No stack reached the gate.")
    return element(
        "ul", *(element("li", element("b", label), f": {text}") for label, text in reasons)
    )


def _list_edges(report: RunReport) -> Markup | None:
    lines = [element("li", f"{a.skill}: {edge}") for a in report.agents for edge in a.edges]
    if not lines:
        return None
    return element(
        "details", element("summary", "Where quality ends"), element("ul", *lines), open=True
    )


def _reasons_of(stack: StackReport) -> tuple[str, ...]:
    if stack.verdict and stack.verdict.reasons:
        return stack.verdict.reasons
    return (stack.reason or stack.status,)


def _show_stack(stack: StackReport) -> Markup:
    numbers = f"{show_interval(stack.speedup, 'x')}, PSNR {show(stack.psnr, ' dB')}"
    members = " + ".join(str(member.get("technique", NONE)) for member in stack.members)
    return element(
        "article",
        element("h3", stack.label, " ", element("span", stack.status, class_="badge")),
        element("p", f"{members}: speed-up {numbers}.", class_="quiet"),
        element("ul", *(element("li", reason) for reason in _reasons_of(stack))),
        _show_edge(stack),
        _fold_checks(stack),
    )


def _show_edge(stack: StackReport) -> Markup | None:
    """What its bolder neighbour did, where that is not already the reason why it is out."""
    if not stack.edge or stack.edge == stack.reason:
        return None
    return element("p", f"Edge of quality: {stack.edge}.", class_="quiet")


def _fold_checks(stack: StackReport) -> Markup | None:
    if stack.verdict is None:
        return None
    checks = show_checks(stack.verdict)
    return element("details", element("summary", "Its checks"), checks)


def _show_memory(report: RunReport) -> Markup | None:
    if not report.memory:
        return None
    sides = tuple(report.memory)
    rows: list[tuple[Child, ...]] = [
        (name, *(show_bytes(getattr(report.memory[side], field)) for side in sides))
        for name, field in _MEMORY_ROWS
    ]
    return table("Memory", ("Memory", *(side.capitalize() for side in sides)), rows)


def _tile(name: str, text: str) -> Markup:
    number, _, spread = text.partition(" (")
    quiet = element("span", spread.removesuffix(")"), class_="quiet") if spread else None
    return element("div", element("dt", name), element("dd", element("b", number), quiet))


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in counts.items()) or NONE


def _as_code(value: Any) -> Markup | None:
    if not value:
        return None
    if isinstance(value, Mapping):
        return element("code", ", ".join(f"{key}={_text(item)}" for key, item in value.items()))
    return element("code", _text(value))


def _text(value: Any) -> str:
    if isinstance(value, list | tuple) and len(value) > _LONGEST_SHOWN:
        return f"({len(value)} values)"
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
