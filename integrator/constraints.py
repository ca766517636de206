"""Which techniques can run together: pure functions over declared traits.

Each returns why a combination is forbidden, or None. No rule names a technique.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

from sol.technique import Seam, StackItem, Technique

Member = tuple[Technique, StackItem]
Constraint = Callable[[Sequence[Member]], str | None]

# One owner each: two techniques that both decide what a step returns, or what precision a layer
# has, undo one another's work without an error.
EXCLUSIVE_SEAMS = frozenset(
    {
        Seam.STEP_OUTPUT,
        Seam.FEED_FORWARD_PRECISION,
        Seam.ATTENTION_PRECISION,
        Seam.COMPILE_REGION,
        Seam.ATTENTION_BACKEND,
        Seam.TOKEN_SET,
        Seam.LATENT_GRID,
    }
)

# Where the tokens lie: what was measured, kept or chosen for one layout means nothing in another.
LAYOUT_SEAMS = frozenset({Seam.TOKEN_SET, Seam.LATENT_GRID})


def find_repeated_technique(members: Sequence[Member]) -> str | None:
    """A technique can stand in a stack once: its hooks have one name."""
    names = [technique.name for technique, _ in members]
    repeated = sorted({name for name in names if names.count(name) > 1})
    return f"{repeated[0]} is in the stack twice" if repeated else None


def find_shared_seam(members: Sequence[Member]) -> str | None:
    """Two techniques write the same exclusive seam while both are active.

    Disjoint step schedules keep them apart: each then owns the seam in its own steps.
    """
    for index, (first, first_item) in enumerate(members):
        for second, second_item in members[index + 1 :]:
            shared = sorted(first.writes & second.writes & EXCLUSIVE_SEAMS)
            if shared and not _are_disjoint(first_item, second_item):
                return f"{first.name} and {second.name} both decide the {_plain(shared[0])}"
    return None


def find_split_batch(members: Sequence[Member]) -> str | None:
    """One technique computes a guidance branch alone, another's state has both in one batch.

    What was kept for the whole batch does not fit the half, and the libraries do not look.
    """
    branch = Seam.GUIDANCE_BRANCH
    splitting = [technique.name for technique, _ in members if branch in technique.writes]
    whole = [technique.name for technique, _ in members if branch in technique.reads]
    if splitting and whole:
        return f"{splitting[0]} computes half a batch, which the state of {whole[0]} does not fit"
    return None


def find_decision_in_region(members: Sequence[Member]) -> str | None:
    """One technique compiles a region, another decides in Python at a place inside of it.

    The decision would be traced: made once for all steps, or compiled anew at each of them.
    """
    regions = [technique for technique, _ in members if Seam.COMPILE_REGION in technique.writes]
    for region, (other, _) in product(regions, members):
        inside = sorted(region.reads & other.writes)
        if inside:
            seam = _plain(inside[0])
            return f"{other.name} decides about the {seam} inside of what {region.name} compiles"
    return None


def find_changed_layout(members: Sequence[Member]) -> str | None:
    """One technique relies on the layout of the tokens, another changes it in the same steps."""
    for (reader, item), (writer, other) in product(members, members):
        changed = sorted(reader.reads & writer.writes & LAYOUT_SEAMS)
        if changed and reader is not writer and not _are_disjoint(item, other):
            return f"{writer.name} changes the {_plain(changed[0])}, on which {reader.name} relies"
    return None


CONSTRAINTS: tuple[Constraint, ...] = (
    find_repeated_technique,
    find_shared_seam,
    find_split_batch,
    find_decision_in_region,
    find_changed_layout,
)


def find_conflict(members: Sequence[Member]) -> str | None:
    """The first rule that forbids these members together, as text, or None."""
    for constraint in CONSTRAINTS:
        reason = constraint(members)
        if reason:
            return reason
    return None


def _are_disjoint(first: StackItem, second: StackItem) -> bool:
    """Whether no step belongs to both, as far as the schedules alone can tell.

    Ranges that depend on the number of steps ("last:3") are taken as overlapping.
    """
    a, b = _absolute_steps(first.schedule.steps), _absolute_steps(second.schedule.steps)
    return a is not None and b is not None and not a & b


def _absolute_steps(text: str) -> frozenset[int] | None:
    if "all" in text or "last" in text:
        return None
    steps: set[int] = set()
    for part in text.replace(" ", "").split(","):
        if part == "none":
            continue
        if part.startswith("first:"):
            steps |= set(range(int(part.removeprefix("first:"))))
            continue
        low, _, high = part.partition("-")
        steps |= set(range(int(low), int(high or low) + 1))
    return frozenset(steps)


def _plain(seam: Seam) -> str:
    return seam.value.replace("_", " ")
