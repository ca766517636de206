"""What the journal says of the diagnosis."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from itertools import chain
from statistics import fmean
from typing import Any

from sol.diagnosis import Diagnosis
from sol.search.journal import Journal
from sol.stages.prospects import Prospects
from sol.stages.time_shares import share_time

_Line = dict[str, Any]


def write_diagnosis(journal: Journal, agent: str, diagnosis: Diagnosis) -> None:
    """All of it, and a line each for what a person looks for in what was recorded."""
    journal.write(agent, "diagnosis", **_rounded(diagnosis))
    times = {share.role: round(share.seconds, 4) for share in share_time(diagnosis)}
    journal.write(agent, "times", seconds=times)
    for turn, describe in _LINES.items():
        line = describe(diagnosis)
        if line is not None:
            journal.write(agent, turn, **line)


def write_prospects(journal: Journal, agent: str, prospects: Prospects) -> None:
    """What each skill could gain at most, and what will not be tried, with the reasons."""
    journal.write(
        agent,
        "bounds",
        bounds={bound.skill: round(bound.bound, 4) for bound in prospects.bounds},
        because={bound.skill: bound.argument for bound in prospects.bounds},
        techniques={item.technique: round(item.bound, 4) for item in prospects.techniques},
        not_tried={item.technique: item.reason for item in prospects.not_tried},
    )


def _redundancy(diagnosis: Diagnosis) -> _Line | None:
    """The three numbers of the redundancy that a person looks for first."""
    redundancy = diagnosis.redundancy
    if redundancy is None or not redundancy.output_change:
        return None
    gap = redundancy.guidance_gap
    return {
        "videos": redundancy.n_videos,
        "least_change": round(min(redundancy.output_change), 4),
        "most_change": round(max(redundancy.output_change), 4),
        "branches": f"differ by {min(gap):.0%} to {max(gap):.0%}" if gap else "are one",
    }


def _attention(diagnosis: Diagnosis) -> _Line | None:
    """In how few blocks attention is, at the density at which choices were compared."""
    attention = diagnosis.attention
    if attention is None:
        return None
    mass = list(chain(*attention.compared(attention.mass)))
    errors = {
        f"error_{name}": round(fmean(chain(*attention.compared(table))), 4)
        for name, table in attention.error.items()
    }
    return {
        "videos": attention.n_videos,
        "density": round(attention.compared_density, 4),
        "least_mass": round(min(mass), 4),
        "most_mass": round(max(mass), 4),
        **errors,
        "overlap": {
            str(lag): round(fmean(layers), 4) for lag, layers in attention.overlap.items()
        },
    }


def _settling(diagnosis: Diagnosis) -> _Line | None:
    """How many tokens are at rest half-way, and whether some are long before others."""
    settling = diagnosis.settling
    if settling is None:
        return None
    return {
        "videos": settling.n_videos,
        "tau": settling.tau,
        "settled_half_way": round(settling.settled[len(settling.settled) // 2], 4),
        "least_spread": round(min(settling.spread), 4),
        "most_spread": round(max(settling.spread), 4),
    }


def _rounded(diagnosis: Diagnosis) -> dict[str, object]:
    """Without the tables that are long and mean nothing to a reader."""
    data = asdict(diagnosis)
    del data["attention"]
    if data["redundancy"] is not None:
        del data["redundancy"]["gram"]
    return {key: _round(value) for key, value in data.items()}


def _round(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, Mapping):
        return {name: _round(item) for name, item in value.items()}
    return [_round(item) for item in value] if isinstance(value, list | tuple) else value


_LINES: Mapping[str, Callable[[Diagnosis], _Line | None]] = {
    "redundancy": _redundancy,
    "attention": _attention,
    "settling": _settling,
}
