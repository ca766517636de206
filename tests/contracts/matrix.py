"""Which technique works on which family of models, as the contract suite found it.

python tests/contracts/matrix.py docs/matrix.md build/contracts.xml

What follows the document is what pytest's --junitxml wrote of runs of the contract suite,
tests/contracts/test_technique_contract.py (`make matrix` does both).
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

sys.path[:0] = [path for path in (str(Path(__file__).parents[1]),) if path not in sys.path]

import torch  # noqa: E402
from tiny_models import FAMILIES, VARIANTS, build_tiny  # noqa: E402

from sol.models.families import describe_roles  # noqa: E402
from sol.models.machine import machine_capabilities  # noqa: E402
from sol.roles import Roles  # noqa: E402
from sol.skills.registry import TECHNIQUES  # noqa: E402
from sol.technique import Technique  # noqa: E402

COLUMNS = (*FAMILIES, *VARIANTS)

_CASE = re.compile(r"\[(?P<family>\w+)-(?P<technique>\w+)(-\w+)?\]$")
_HEAD = """# Techniques and model families

What the contract suite (`tests/contracts/test_technique_contract.py`) found on a pipeline of each
family: diffusers' own classes, four blocks, random weights, on a CPU. Written by `make matrix`;
nothing here is written by hand.

A number: the tests that the technique passed on the family, undo, identity, evidence and no state
across videos among them; compiled code is put through all of them on `wan` alone. `machine`: the
family has what the technique needs, the machine of this run has not. A number in brackets: why
the technique does not apply.
"""


@dataclass(frozen=True)
class Cell:
    """A technique on a family.

    Attributes:
        obstacle: Why it does not apply to the family; empty where it does.
        needs_machine: What the machine lacks for it; empty where it lacks nothing.
        passed, failed: Tests.
    """

    obstacle: str = ""
    needs_machine: str = ""
    passed: int = 0
    failed: int = 0

    @property
    def applies(self) -> bool:
        return not self.obstacle

    def show(self, notes: Mapping[str, int]) -> str:
        if self.obstacle:
            return f"[{notes[self.obstacle]}]"
        if self.needs_machine:
            return "machine"
        return (
            f"{self.failed} of {self.passed + self.failed} fail"
            if self.failed
            else f"{self.passed}"
        )


def read_results(
    paths: Iterable[Path],
) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """Passed and failed tests by (family, technique); skipped ones are neither."""
    passed: Counter[tuple[str, str]] = Counter()
    failed: Counter[tuple[str, str]] = Counter()
    for case in (case for path in paths for case in ElementTree.parse(path).iter("testcase")):
        found = _CASE.search(case.get("name", ""))
        if found is None or case.find("skipped") is not None:
            continue
        bad = case.find("failure") is not None or case.find("error") is not None
        (failed if bad else passed)[found["family"], found["technique"]] += 1
    return passed, failed


def describe_cell(technique: Technique, roles: Roles) -> Cell:
    """What is known without a test."""
    _, not_here = machine_capabilities("cpu", torch.float32)
    missing = sorted(technique.requires - roles.capabilities)
    of_family = [name for name in missing if roles.lacks[name] != not_here.get(name)]
    if of_family:
        return Cell(obstacle=roles.lacks[of_family[0]])
    return Cell(needs_machine=roles.lacks[missing[0]] if missing else "")


def describe_all() -> dict[tuple[str, str], Cell]:
    """Every (family, technique)."""
    cells = {}
    for family in COLUMNS:
        roles = describe_roles(build_tiny(family))
        for technique in TECHNIQUES.values():
            cells[family, technique.name] = describe_cell(technique, roles)
    return cells


def render_matrix(cells: Mapping[tuple[str, str], Cell], families: Sequence[str]) -> str:
    """The document."""
    reasons = dict.fromkeys(cell.obstacle for cell in cells.values() if cell.obstacle)
    notes = {reason: number for number, reason in enumerate(reasons, 1)}
    parts = [_HEAD]
    by_skill = groupby(TECHNIQUES.values(), key=lambda technique: technique.skill)
    for skill, techniques in by_skill:
        parts.append(f"## {skill}\n\n" + _table(techniques, cells, families, notes))
    parts.append("## Why not\n\n" + "".join(f"{n}. {why}\n" for why, n in notes.items()))
    needs = {c.needs_machine: name for (_, name), c in cells.items() if c.needs_machine}
    lines = "".join(f"- {name}: {why}\n" for why, name in needs.items())
    parts.append("## Not on this machine\n\n" + lines)
    return "\n".join(parts)


def _table(
    techniques: Iterable[Technique],
    cells: Mapping[tuple[str, str], Cell],
    families: Sequence[str],
    notes: Mapping[str, int],
) -> str:
    rows = [("technique", *families), ("---",) * (len(families) + 1)]
    for technique in techniques:
        shown = (cells[family, technique.name].show(notes) for family in families)
        rows.append((f"`{technique.name}`", *shown))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main(document: Path, results: Iterable[Path]) -> None:
    passed, failed = read_results(results)
    cells = {
        key: Cell(cell.obstacle, cell.needs_machine, passed[key], failed[key])
        for key, cell in describe_all().items()
    }
    document.parent.mkdir(exist_ok=True)
    document.write_text(render_matrix(cells, COLUMNS), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), map(Path, sys.argv[2:]))
