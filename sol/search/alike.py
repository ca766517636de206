"""Whether two workers measure the same target, so that their numbers may be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sol.errors import SolError
from sol.search.records import WorkerInfo


def require_alike(infos: Sequence[WorkerInfo]) -> None:
    """Every worker against the first.

    Raises:
        SolError: One loaded something else, or runs on other hardware or other versions.
    """
    for number, info in enumerate(infos):
        difference = find_difference(infos[0], info)
        if difference is not None:
            raise SolError(
                f"Workers of one run must be alike, but {difference} (worker 0 on "
                f"{infos[0].device_key}, worker {number} on {info.device_key}): their timings do "
                "not compare. Use a cluster of equal nodes with equal packages, or fewer workers."
            )


def find_difference(reference: WorkerInfo, other: WorkerInfo) -> str | None:
    """In which respect the two differ, with both values; None where they are alike."""
    for name in ("model", "hardware", "workload"):
        expected, found = getattr(reference, name), getattr(other, name)
        if expected != found:
            return f"the {name} differs: {expected} against {found}"
    return _find_other_version(reference.versions, other.versions)


def _find_other_version(expected: Mapping[str, str], found: Mapping[str, str]) -> str | None:
    for package in sorted({*expected, *found}):
        one, other = expected.get(package, "none"), found.get(package, "none")
        if one != other:
            return f"the version of {package} differs: {one} against {other}"
    return None
