"""The matrix of techniques and families: read from test results, and not out of date."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from contracts.matrix import COLUMNS, Cell, describe_all, read_results, render_matrix

from sol.skills.registry import TECHNIQUES

DOCUMENT = Path(__file__).parents[2] / "docs" / "matrix.md"
RESULTS = """<testsuites><testsuite>
<testcase name="test_undo[wan-easycache]"/>
<testcase name="test_no_state_crosses_videos[wan-easycache-another_prompt]"/>
<testcase name="test_undo[ltx-easycache]"><failure>off by one</failure></testcase>
<testcase name="test_undo[ltx-teacache]"><skipped/></testcase>
<testcase name="test_every_technique_has_settings"/>
</testsuite></testsuites>"""

described = cache(describe_all)


def test_results_are_counted_by_family_and_technique(tmp_path):
    (tmp_path / "results.xml").write_text(RESULTS)
    (tmp_path / "more.xml").write_text(RESULTS)
    passed, failed = read_results([tmp_path / "results.xml"])
    assert passed == Counter({("wan", "easycache"): 2})
    assert failed == Counter({("ltx", "easycache"): 1})
    passed, _ = read_results([tmp_path / "results.xml", tmp_path / "more.xml"])
    assert passed == Counter({("wan", "easycache"): 4})


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        (Cell(passed=14), "14"),
        (Cell(passed=13, failed=1), "1 of 14 fail"),
        (Cell(needs_machine="no GPU"), "machine"),
        (Cell(obstacle="its attention is linear"), "[1]"),
    ],
)
def test_a_cell_says_what_was_found(cell, shown):
    cells = {(family, name): Cell(passed=1) for family in COLUMNS for name in TECHNIQUES}
    cells["wan", "radial"] = cell
    (row,) = (line for line in render_matrix(cells, COLUMNS).splitlines() if "`radial`" in line)
    assert row.split(" | ")[COLUMNS.index("wan") + 1].rstrip(" |") == shown


@pytest.mark.parametrize("name", TECHNIQUES)
def test_the_document_says_what_the_adapters_say(name):
    """Run `make matrix` where this fails."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    (row,) = (line for line in lines if line.startswith(f"| `{name}` |"))
    shown = [cell.strip() for cell in row.strip("| ").split(" | ")[1:]]
    for family, cell in zip(COLUMNS, shown, strict=True):
        assert cell.startswith("[") is not described()[family, name].applies, family
        assert "fail" not in cell
        assert cell != "0", f"{name} was not tried on {family}"
