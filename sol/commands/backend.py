"""Which back-end scores finished videos."""

from __future__ import annotations

from pathlib import Path

from sol.errors import SolError, UnknownNameError
from sol.stages.evidence import VideoScorer
from sol.validator.profile import Profile

BACKENDS = ("auto", "embedded", "vbench")


def choose_scorer(name: str, profile: Profile, env: Path | None) -> VideoScorer | None:
    """VBench, or None for the embedded metrics alone.

    Args:
        name: "vbench" insists, "auto" takes it where all that the profile asks for can run.
        env: Where VBench was set up, if not in the default place.

    Raises:
        UnknownNameError: No such back-end.
        SolError: VBench was asked for and cannot run, with the remedy.
    """
    if name not in BACKENDS:
        raise UnknownNameError("back-end", name, BACKENDS)
    if name == "embedded" or not profile.vbench:
        return None
    raise SolError("not wired yet")
