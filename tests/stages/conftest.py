"""What the tests of the stages share."""

import json

import pytest

from sol.search.journal import Journal


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal.jsonl", lambda: 0.0) as journal:
        yield journal


@pytest.fixture
def journal_lines(tmp_path):
    """Reads what has been journalled so far."""
    path = tmp_path / "journal.jsonl"
    return lambda: [json.loads(line) for line in path.read_text().splitlines()]
