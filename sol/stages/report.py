"""Writes report.json and report.html of a run, with clips of the worst pairs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean

import numpy as np

from sol.diagnosis import Diagnosis
from sol.integrator.measured import MeasuredStack
from sol.measure.stats import Interval, bootstrap_median
from sol.search.agent_record import AgentRecord
from sol.search.records import FrontierPoint, Outcome, Proposal, Speed
from sol.search.whole_file import write_whole
from sol.stages.judge import Judged, find_winner
from sol.stages.judged_pairs import NO_PAIRS, JudgedPairs, gather_pairs
from sol.stages.prospects import Prospects
from sol.stages.request import Session
from sol.stages.time_shares import share_time
from sol.validator.report.model import (
    AgentReport,
    Contribution,
    Interaction,
    MemoryUse,
    Point,
    RunReport,
    StartCost,
    to_json,
)
from sol.validator.report.page import render_html
from sol.validator.report.sparsity import LayerSparsity, SparsityReport
from sol.validator.report.stack import StackReport

_RESAMPLING_SEED = 0


def write_report(
    session: Session,
    agents: Mapping[str, AgentRecord],
    measured: tuple[MeasuredStack, ...],
    judged: tuple[Judged, ...],
    contributions: tuple[Contribution, ...] = (),
    interactions: tuple[Interaction, ...] = (),
    prospects: Prospects | None = None,
) -> Path:
    """Writes both reports into the run's folder; the path of the page.

    Args:
        prospects: What was said before the search, if anything was.
    """
    folder = session.request.folder
    pairs = gather_pairs(session, judged)
    report = replace(
        make_report(session, agents, measured, judged, pairs),
        contributions=contributions,
        interactions=interactions,
        bounds=prospects.bounds if prospects else (),
        not_tried=prospects.not_tried if prospects else (),
    )
    text = json.dumps(to_json(report), indent=2, ensure_ascii=False)
    write_whole(folder / "report.json", text)
    page = folder / "report.html"
    write_whole(page, render_html(report, pairs.sheets))
    return page


def make_report(
    session: Session,
    agents: Mapping[str, AgentRecord],
    measured: tuple[MeasuredStack, ...],
    judged: tuple[Judged, ...],
    pairs: JudgedPairs = NO_PAIRS,
) -> RunReport:
    """The report as data: what the session, the agents and the stacks say."""
    winner = find_winner(judged)
    stacks = [_stack_report(stack, judged) for stack in measured]
    members = {
        (item.technique, repr(dict(item.config)))
        for item in (winner.measured.candidate.stack if winner else ())
    }
    return RunReport(
        run_id=session.request.folder.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        outcome="accepted" if winner else "nothing accepted",
        headline=_headline(winner, judged, measured),
        target=session.target,
        profile=session.request.profile.name,
        profile_digest=session.request.profile.digest,
        versions=session.versions,
        baseline_s=_seconds(session.self_timing),
        agents=tuple(_agent_report(record) for record in agents.values()),
        frontier=tuple(
            _point(proposal, outcome, members)
            for record in agents.values()
            for proposal, outcome in record.trials
        ),
        stacks=tuple(stacks),
        winner=measured.index(winner.measured) if winner else None,
        memory=_memory(winner),
        cold_start=_cold_start(winner),
        evidence=winner.gate.engagement if winner else {},
        pairs=pairs.points,
        clips=pairs.clips,
        redundancy=_redundancy(session.diagnosis),
        attention=_sparsity(session.diagnosis),
        settling=session.diagnosis.settling,
        time_shares=share_time(session.diagnosis),
    )


def _redundancy(diagnosis: Diagnosis) -> dict[str, tuple[float, ...]]:
    recorded = diagnosis.redundancy
    if recorded is None:
        return {}
    rows = {
        "output, against the step before": recorded.output_change,
        "conditional against unconditional output": recorded.guidance_gap,
    }
    if recorded.block_change:
        rows["residual of the first block"] = recorded.block_change[0]
        rows["residual of the last block"] = recorded.block_change[-1]
    return rows


def _sparsity(diagnosis: Diagnosis) -> SparsityReport | None:
    """By layer, at the density at which choices of blocks were compared."""
    recorded = diagnosis.attention
    if recorded is None:
        return None
    mass = recorded.compared(recorded.mass)
    errors = {name: recorded.compared(table) for name, table in recorded.error.items()}
    overlaps = {
        **{_describe_lag(lag): shares for lag, shares in recorded.overlap.items()},
        "other prompt": recorded.prompt_overlap,
    }
    layers = tuple(
        LayerSparsity(
            mass=fmean(heads),
            error={name: fmean(table[layer]) for name, table in errors.items()},
            overlap={where: shares[layer] for where, shares in overlaps.items() if shares},
        )
        for layer, heads in enumerate(mass)
    )
    return SparsityReport(
        recorded.compared_density, recorded.block, layers, recorded.overlap_by_lot
    )


def _describe_lag(lag: int) -> str:
    return "step before" if lag == 1 else f"{lag} steps before"


def _headline(
    winner: Judged | None, judged: tuple[Judged, ...], measured: tuple[MeasuredStack, ...]
) -> str:
    if winner is not None and winner.numbers is not None:
        speed = winner.numbers.speed
        return (
            f"{speed.median:.2f}x end to end [{speed.low:.2f}, {speed.high:.2f}], "
            f"{speed.n} interleaved pairs"
        )
    if judged:
        return f"{len(judged)} stack(s) at the gate, none accepted: {judged[-1].reason}"
    reasons = [stack.reason for stack in measured if stack.reason]
    if reasons:
        return f"{len(measured)} stack(s) measured, none fit for the gate: {reasons[0]}"
    return "No technique gained beyond the timing noise within the quality budget."


def _stack_report(stack: MeasuredStack, judged: tuple[Judged, ...]) -> StackReport:
    key = stack.candidate.key
    at_gate = next((item for item in judged if item.measured.candidate.key == key), None)
    composed = _ratio(stack.speed) if stack.speed else None
    final = _ratio(at_gate.numbers.speed) if at_gate and at_gate.numbers else None
    prediction = stack.candidate.prediction
    low, high = prediction.interval
    return StackReport(
        label=stack.candidate.label,
        members=tuple(asdict(item) for item in stack.candidate.stack),
        speedup=final or composed,
        predicted_speedup=prediction.speedup,
        psnr=stack.quality.psnr if stack.quality else None,
        status=_status(stack, at_gate),
        reason=at_gate.reason if at_gate else stack.reason,
        verdict=at_gate.gate.verdict if at_gate else None,
        edge=stack.edge.text if stack.edge else "",
        predicted_psnr=prediction.psnr,
        predicted_low=low,
        predicted_high=high,
        composed_speedup=composed if final else None,
        is_prediction=stack.is_prediction,
        set_aside=stack.set_aside,
    )


def _status(stack: MeasuredStack, at_gate: Judged | None) -> str:
    if at_gate is not None:
        return "accepted" if at_gate.is_accepted else "rejected"
    return "out" if stack.reason else "measured"


def _agent_report(record: AgentRecord) -> AgentReport:
    return AgentReport(
        skill=record.skill,
        trials=len(record.trials),
        kept=len(record.frontier),
        status=record.status,
        note=f"at most {record.bound:.2f}x by the diagnosis",
        edges=(
            *(f"{edge.technique}: {edge.text}" for edge in record.edges),
            *(_describe_guard(point) for point in record.frontier if point.guard),
        ),
    )


def _describe_guard(point: FrontierPoint) -> str:
    guard = ", ".join(f"{name} {value}" for name, value in (point.guard or {}).items())
    return f"{point.proposal.label}: guarded by {guard}, which held as well"


def _point(proposal: Proposal, outcome: Outcome, members: set[tuple[str, str]]) -> Point:
    return Point(
        skill=proposal.skill,
        technique=proposal.technique,
        label=proposal.label,
        speedup=outcome.speed.median if outcome.speed else None,
        psnr=outcome.quality.psnr if outcome.quality else None,
        status=outcome.status,
        reason=outcome.reason,
        in_winner=(proposal.technique, repr(dict(proposal.config))) in members,
    )


def _memory(winner: Judged | None) -> dict[str, MemoryUse]:
    if winner is None or winner.numbers is None:
        return {}
    memory = winner.numbers.memory
    return {
        "baseline": MemoryUse(memory.baseline_weights, memory.baseline_peak),
        "accelerated": MemoryUse(
            memory.accelerated_weights, memory.accelerated_peak, memory.kept_for_undo
        ),
        "after undo": MemoryUse(memory.weights_after_undo, None),
    }


def _cold_start(winner: Judged | None) -> StartCost | None:
    if winner is None or winner.numbers is None or winner.numbers.cold_start is None:
        return None
    cold_start, speed = winner.numbers.cold_start, winner.numbers.speed
    return StartCost(
        cold_start.install_s, cold_start.first_extra_s, cold_start.find_break_even(speed)
    )


def _ratio(speed: Speed) -> Interval:
    return Interval(speed.median, speed.low, speed.high, speed.n)


def _seconds(speed: Speed) -> Interval:
    rng = np.random.default_rng(_RESAMPLING_SEED)
    return bootstrap_median(list(speed.baseline_s), rng)
