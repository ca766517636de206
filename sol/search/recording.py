"""Records the redundancy of a pipeline's own videos."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from sol.clock import Clock
from sol.diagnosis import Redundancy
from sol.measure.redundancy import record_redundancy
from sol.models.families import describe_roles
from sol.runtime.render import render
from sol.runtime.ticker import start_ticking
from sol.target import Workload


def record_videos(
    pipeline: Any, workload: Workload, pairs: Sequence[tuple[str, int]]
) -> Redundancy:
    """Makes the video of each prompt and seed once, everything recorded."""
    roles, clock = describe_roles(pipeline), Clock()
    runs = [functools.partial(render, pipeline, workload, *pair) for pair in pairs]
    stop = start_ticking(pipeline, roles, clock)
    try:
        return record_redundancy(runs, pipeline.scheduler, roles, clock)
    finally:
        stop()
