"""How sensitive the parts of the denoiser are to a technique, one by one.

Measured once, on calls recorded from a baseline video: what each part alone does to the output of
the denoiser tells which of them to leave as they are, without a video for each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sol.search.crew import TRIAL_LIMIT_S, Job
from sol.search.offering import Config
from sol.stages.request import Session

_SHARE = 8
"""Parts in one job: enough to be worth recording the calls for, few enough to share out."""


def measure_parts(session: Session, skill: str) -> dict[str, tuple[float, ...]]:
    """By technique, the error of each of its parts; none where one could not be measured."""
    parts: Mapping[str, tuple[Config, ...]] = session.crew.run(
        Job("parts", (skill, session.diagnosis), TRIAL_LIMIT_S)
    )
    return {name: _measure(session, skill, name, configs) for name, configs in parts.items()}


def _measure(
    session: Session, skill: str, technique: str, configs: Sequence[Config]
) -> tuple[float, ...]:
    shares = [configs[start : start + _SHARE] for start in range(0, len(configs), _SHARE)]
    pair = session.calibration[0]
    jobs = [Job("part_errors", (technique, share, pair), TRIAL_LIMIT_S) for share in shares]
    done = session.crew.run_all(jobs)
    failed = next((d.reason for d in done if d.failure is not None), "")
    errors = () if failed else tuple(error for d in done for error in d.value)
    session.journal.write(
        skill,
        "sensitivity",
        technique=technique,
        parts=len(configs),
        reason=failed,
        errors={str(c): round(e, 6) for c, e in zip(configs, errors, strict=False)},
        least=f"{min(errors):.2%}" if errors else None,
        most=f"{max(errors):.2%}" if errors else None,
    )
    return errors
