"""Prompts and records that several tests share."""

from sol.diagnosis import Diagnosis, Redundancy

PROMPT = "a large red circle moves right on a dark blue background"
OTHER_PROMPT = "a small green square moves up on a light gray background"


def diagnosis_of(output_change=(), **redundancy):
    """A diagnosis of made-up seconds, and of a video whose outputs change like this."""
    n_steps = len(output_change) + 1
    fields = {
        "n_videos": 1,
        "positions": tuple(1 - step / n_steps for step in range(n_steps)),
        "gram": tuple(
            tuple(float(i == j) for j in range(2 * n_steps)) for i in range(2 * n_steps)
        ),
        "output_change": tuple(output_change),
        "block_change": (),
        "signal_change": {},
        "magnitude_ratio": {},
        "guidance_gap": (),
        **redundancy,
    }
    return Diagnosis(10.0, 9.0, 6.0, 0.5, 0.1, redundancy=Redundancy(**fields))


DIAGNOSIS = diagnosis_of((0.5, 0.1, 0.1))
