"""What goes wrong between Sol and VBench."""

from __future__ import annotations

from sol.errors import SolError


class VBenchError(SolError):
    """VBench could not be set up, or gave no complete, believable scores; with the remedy."""
