"""Where a recipe and the place of its use differ: what is said, refused, or allowed by name."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from sol.errors import ConfigError, TargetMismatchError, UnknownNameError

Check = Literal["weights", "revision", "hardware", "versions", "workload"]
CHECKS: tuple[Check, ...] = get_args(Check)


@dataclass(frozen=True)
class Mismatch:
    """One thing that is different here.

    Attributes:
        check: The name by which it can be allowed.
        key: Where the recipe has its value.
        recipe: That value.
        remedy: A sentence: how to remove the difference.
    """

    check: Check
    key: str
    recipe: str
    here: str
    remedy: str

    @property
    def difference(self) -> str:
        """What differs, without what to do about it."""
        return f"{self.key}: the recipe was measured with {self.recipe}, here it is {self.here}"

    def __str__(self) -> str:
        return (
            f"{self.difference}. {self.remedy} "
            f'Or use it all the same: allow=("{self.check}",), --allow {self.check}.'
        )


def parse_allow(allow: Collection[str]) -> frozenset[str]:
    """The names of the checks that need not hold.

    Raises:
        ConfigError: A single string: its letters would be the names.
        UnknownNameError: A name that no check has.
    """
    if isinstance(allow, str):
        raise ConfigError(f'allow takes several names, got the string {allow!r}: ("{allow}",).')
    for name in allow:
        if name not in CHECKS:
            raise UnknownNameError("check to allow", name, CHECKS)
    return frozenset(allow)


def settle(mismatches: Iterable[Mismatch], allowed: frozenset[str]) -> dict[str, str]:
    """By check, what differs and was allowed.

    Raises:
        TargetMismatchError: Something differs that was not allowed; all of it is listed.
    """
    found = tuple(mismatches)
    refused = [mismatch for mismatch in found if mismatch.check not in allowed]
    if refused:
        raise TargetMismatchError("\n".join(str(mismatch) for mismatch in refused))
    return {
        check: "; ".join(m.difference for m in found if m.check == check)
        for check in CHECKS
        if any(m.check == check for m in found)
    }
