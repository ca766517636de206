"""Which back-end scores finished videos."""

from __future__ import annotations

from pathlib import Path

from sol.errors import SolError, UnknownNameError
from sol.stages.evidence import VideoScorer
from sol.stages.vbench_scorer import VBenchScorer, needed_dimensions
from sol.validator.profile import Profile
from sol.validator.vbench.environment import VBenchEnv, find_vbench, get_vbench
from sol.validator.vbench.lock import available_dimensions

BACKENDS = ("auto", "embedded", "vbench")


def choose_scorer(
    name: str, profile: Profile, root: Path, device: str | None
) -> VideoScorer | None:
    """VBench, or None for the embedded metrics alone.

    Args:
        name: "vbench" insists, "auto" takes it where all that the profile asks for can run.
        root: Where VBench was set up, if it was.
        device: That of the videos' model; None for what PyTorch finds.

    Raises:
        UnknownNameError: No such back-end.
        SolError: VBench was asked for and cannot run, with the remedy.
    """
    if name not in BACKENDS:
        raise UnknownNameError("back-end", name, BACKENDS)
    needed = needed_dimensions(profile)
    if name == "embedded" or (name == "auto" and not needed):
        return None
    env = get_vbench(root) if name == "vbench" else find_vbench(root)
    if env is None:
        return None
    missing = _find_missing(env, needed)
    if missing and name == "auto":
        return None
    if missing or not needed:
        raise SolError(_explain(profile, missing, root))
    return VBenchScorer(env, needed, device or "cpu")


def _find_missing(env: VBenchEnv, needed: tuple[str, ...]) -> tuple[str, ...]:
    there = available_dimensions(env)
    return tuple(name for name in needed if name not in there)


def _explain(profile: Profile, missing: tuple[str, ...], root: Path) -> str:
    if not missing:
        return (
            f"Gate profile {profile.name} has no rules for VBench: add some under its key "
            "'vbench', or use --backend embedded."
        )
    return (
        f"Gate profile {profile.name} asks VBench for {', '.join(missing)}, whose weights are not "
        f"in {root}: run `sol vbench prefetch`, or use --backend embedded."
    )
