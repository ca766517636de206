"""The error of a metric that gave no score: the caller must not take that for a good one."""

from __future__ import annotations

from sol.errors import SolError


class MetricError(SolError):
    """A metric that could not be computed, with the reason and what to do."""
