"""How a finding reaches the journal and the other agents."""

from __future__ import annotations

from collections.abc import Iterable

from sol.search.executors.base import Executor
from sol.search.journal import Journal
from sol.search.records import Finding


def post(finding: Finding, skills: Iterable[str], executor: Executor, journal: Journal) -> None:
    """Journals the finding and tells it."""
    journal.write(finding.skill, "post", finding=finding.text, data=finding.data)
    tell(finding, skills, executor)


def tell(finding: Finding, skills: Iterable[str], executor: Executor) -> None:
    """Tells every agent but the one that posted it."""
    for skill in skills:
        if skill != finding.skill:
            executor.ask_agent(skill, "observe", finding)
