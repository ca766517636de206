"""Whether a stack stands on the edge of quality: its bolder neighbour on the calibration pairs.

Members that each keep their distance from a cliff can be on one together. So before the gate,
every ordered knob of the lossy members moves bolder by a margin, all at once; if that falls below
the search's floor, a prompt that is a little harder would do the same to the stack itself.
"""

from __future__ import annotations

from collections.abc import Mapping

from sol.integrator.compose import Candidate
from sol.integrator.measured import EdgeCheck
from sol.search.cliff import bolder
from sol.search.crew import TRIAL_LIMIT_S, Job
from sol.search.executors.base import Done
from sol.search.records import Quality, QualityFloor, is_table
from sol.skills.registry import get_technique
from sol.space import Space
from sol.stages.request import Session
from sol.technique import Stack, StackItem

NO_EDGE = "no knob can be bolder: there is no edge to fall from"
_WHO = "edge"


def check_edge(session: Session, candidate: Candidate, spaces: Mapping[str, Space]) -> EdgeCheck:
    """Measures the bolder neighbour of a stack, if it has one.

    Args:
        spaces: What may be searched, by technique.
    """
    stack = candidate.stack
    neighbour = bolder_neighbour(stack, spaces)
    if neighbour == stack:
        check = EdgeCheck(NO_EDGE)
    else:
        args = (neighbour, session.calibration, session.floor)
        done = session.crew.run_all([Job("measure_quality", args, TRIAL_LIMIT_S)])[0]
        check = _conclude(_describe_move(stack, neighbour), done, session.floor)
    session.journal.write(
        _WHO,
        "check",
        stack=candidate.label,
        finding=check.text,
        fallen=check.has_fallen,
        psnr=None if check.psnr is None else round(check.psnr, 2),
    )
    return check


def bolder_neighbour(stack: Stack, spaces: Mapping[str, Space]) -> Stack:
    """Every ordered knob of the lossy members a margin bolder; `stack` where nothing can move."""
    return tuple(_bolder_item(item, spaces) for item in stack)


def _bolder_item(item: StackItem, spaces: Mapping[str, Space]) -> StackItem:
    if get_technique(item.technique).exactness != "lossy":
        return item
    return StackItem(item.technique, bolder(spaces[item.technique], item.config), item.schedule)


def _conclude(move: str, done: Done, floor: QualityFloor) -> EdgeCheck:
    if done.failure is not None:
        text = f"on the edge: {move} cannot be measured: {done.reason}"
        return EdgeCheck(text, has_fallen=True, floor_psnr=floor.psnr)
    quality: Quality = done.value
    shortfall = floor.find_shortfall(quality)
    text = f"bolder neighbour {move} holds {quality.psnr:.1f} dB"
    if shortfall is not None:
        text = f"on the edge: {move} falls to {quality.psnr:.1f} dB ({shortfall})"
    return EdgeCheck(text, shortfall is not None, quality.psnr, floor.psnr, quality.n)


def _describe_move(stack: Stack, neighbour: Stack) -> str:
    """`easycache threshold 0.261 -> 0.29`, for every knob that moved."""
    return ", ".join(
        f"{before.technique} {name} {value} -> {after.config[name]}"
        for before, after in zip(stack, neighbour, strict=True)
        for name, value in before.config.items()
        if value != after.config[name] and not is_table(value)
    )
