"""Numbers as a reader wants them: with their unit and, where there is one, their spread."""

from __future__ import annotations

import math

from sol.measure.stats import Interval

NONE = "—"
PSNR_SHOWN_DB = 60.0
"""Plots end there: identical videos would squash all others."""

_GIB = 1024**3
_MIB = 1024**2


def show(value: float | None, unit: str = "") -> str:
    """Four significant digits; a dash where there is no number."""
    if value is None or not math.isfinite(value):
        return NONE
    return f"{value:.4g}{unit}"


def show_interval(interval: Interval | None, unit: str) -> str:
    """`1.52x (1.49 to 1.55, n = 8)`."""
    if interval is None:
        return NONE
    spread = f"{interval.low:.3g} to {interval.high:.3g}, n = {interval.n}"
    return f"{interval.median:.3g}{unit} ({spread})"


def show_bytes(n_bytes: int | None) -> str:
    """GiB, or MiB below one of them."""
    if n_bytes is None:
        return NONE
    if n_bytes >= _GIB:
        return f"{n_bytes / _GIB:.2f} GiB"
    return f"{n_bytes / _MIB:.1f} MiB"
