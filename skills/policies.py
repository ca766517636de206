"""What each skill's agent starts from: its bound, and what the diagnosis alone tells.

Imports no torch: agents run in processes without it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain, groupby
from statistics import fmean, median
from types import MappingProxyType

from sol.diagnosis import Diagnosis
from sol.schedule import format_range

_SHORTEST_WINDOW = 2
_HALF = 0.5


@dataclass(frozen=True)
class Fact:
    """What the diagnosis tells without a trial: a sentence, and the data behind it."""

    text: str
    data: Mapping[str, float | str]


def _nothing(_: Diagnosis) -> Fact | None:
    return None


@dataclass(frozen=True)
class Policy:
    """The upper bound of a skill on a target, and how it is argued.

    Attributes:
        fact: What all agents should know before the first trial, if the diagnosis tells it.
    """

    skill: str
    bound: Callable[[Diagnosis], float]
    argument: str
    fact: Callable[[Diagnosis], Fact | None] = _nothing


def _bound_of_denoiser(diagnosis: Diagnosis) -> float:
    return diagnosis.bound_if_free(diagnosis.denoise_s)


def find_safe_steps(diagnosis: Diagnosis) -> Fact | None:
    """The longest run of steps whose output changes less than that of half the steps.

    Against the median, not the mean or a fixed limit: the first steps change by orders of
    magnitude more than the rest, and what counts as small differs by model and by number of steps.
    None where no two steps in a row change less.
    """
    changes = diagnosis.output_change
    limit = median(changes) if changes else 0.0
    is_calm = [(step, change < limit) for step, change in enumerate(changes, start=1)]
    runs = [
        [step for step, _ in group] for calm, group in groupby(is_calm, lambda s: s[1]) if calm
    ]
    longest = max(runs, key=len, default=[])
    if len(longest) < _SHORTEST_WINDOW:
        return None
    steps = format_range(frozenset(longest))
    text = f"steps {steps} change least (relative change below {limit:.2g})"
    return Fact(text, {"safe_steps": steps})


def _bound_of_linears(diagnosis: Diagnosis) -> float:
    """Without a factor for the format: what it is worth depends on what it is compared with.

    (Seen: int8 at 4.8 times the rate of float32 on a processor whose float32 library runs at half
    of what the processor can do, where the data sheet says four times.)
    """
    return diagnosis.bound_if_free(diagnosis.linear_s)


def _bound_of_attention(diagnosis: Diagnosis) -> float:
    return diagnosis.bound_if_free(diagnosis.bare_attention_s)


def find_sparse_heads(diagnosis: Diagnosis) -> Fact | None:
    """How much of a head's attention few blocks hold, and how long a choice of them lasts."""
    attention = diagnosis.attention
    if attention is None:
        return None
    density = attention.compared_density
    mass = list(chain(*attention.compared(attention.mass)))
    data = {"density": density, "least_mass": min(mass), "most_mass": max(mass)}
    text = f"the best {density:.0%} of blocks hold {min(mass):.0%} to {max(mass):.0%} of attention"
    if not attention.overlap:
        return Fact(text, data)
    shortest = min(attention.overlap)
    kept = fmean(attention.overlap[shortest])
    steps = "the step" if shortest == 1 else f"{shortest} steps"
    text += f"; {kept:.0%} of those chosen were so {steps} before"
    return Fact(text, {**data, "overlap": kept})


def find_settled_tokens(diagnosis: Diagnosis) -> Fact | None:
    """When half of the tokens are at rest, how far they are apart, and where those are.

    The map has a number for each cell of a coarse grid, the mean step by which it settles: cells
    of a row apart by a space, rows by a comma, frames by a semicolon.
    """
    settling = diagnosis.settling
    if settling is None:
        return None
    n_steps, tau = len(settling.settled), settling.tau
    half = next(step for step, share in enumerate(settling.settled) if share >= _HALF)
    spread = median(settling.spread)
    text = (
        f"half of the tokens settle by step {half} of {n_steps} (change below {tau:.0%}); "
        f"the calmest quarter changes {spread:.2f} times as much as the liveliest"
    )
    cells = ";".join(
        ",".join(" ".join(f"{step:.1f}" for step in row) for row in frame)
        for frame in settling.settling_step
    )
    return Fact(text, {"settled_by": half, "spread": spread, "settling_steps": cells})


POLICIES: Mapping[str, Policy] = MappingProxyType(
    {
        policy.skill: policy
        for policy in (
            Policy("cache", _bound_of_denoiser, "no denoiser call at all", find_safe_steps),
            Policy("quantization", _bound_of_linears, "linear layers for nothing"),
            Policy("kernel_fusion", _bound_of_denoiser, "the denoiser for nothing"),
            Policy(
                "sparse_attention",
                _bound_of_attention,
                "self-attention for nothing but its linear layers",
                find_sparse_heads,
            ),
            Policy("token_pruning", _bound_of_denoiser, "no token at all", find_settled_tokens),
        )
    }
)
