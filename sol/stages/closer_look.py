"""A closer look at a stack's quality, on further calibration prompts, before time goes into it.

The fastest of many stacks on a few prompts is one that these prompts flatter: what leaving out
members, and then the gate, would cost is worth a dozen videos.
"""

from __future__ import annotations

from sol.integrator.measured import MeasuredStack
from sol.search.crew import TRIAL_LIMIT_S, Job
from sol.search.records import Quality
from sol.stages.request import Session

_WHO = "integrator"


def look_closer(session: Session, stack: MeasuredStack) -> Quality | None:
    """Quality on the further prompts; None where there are none.

    A stack that cannot be measured there has none at all, of 0 dB.
    """
    if not session.further:
        return None
    args = (stack.candidate.stack, session.further, session.floor)
    done = session.crew.run_all([Job("measure_quality", args, TRIAL_LIMIT_S)])[0]
    quality = done.value if done.failure is None else Quality(0.0, 0.0, 0.0, 1.0, 0)
    session.journal.write(
        _WHO,
        "look_closer",
        stack=stack.candidate.label,
        prompts=quality.n,
        psnr=round(quality.psnr, 2),
        reason=done.reason or session.floor.find_shortfall(quality) or "",
    )
    return quality
