"""One kill of each kind; and what the checks of such a run would find fault with."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
LINE = {"method": "glance", "key": "a", "value": 1}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["driver", "agent", "worker", "node"])
def test_a_killed_run_loses_only_what_was_under_way(kind):
    pytest.importorskip("ray")
    command = [sys.executable, HERE / "kill_runs.py", "--rounds", "1", "--kinds", kind]
    result = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("delivered", "kept", "finished", "fault"),
    [
        (1, 1, 1, None),
        (0, 1, 2, None),
        (1, 0, 1, "delivered and are not kept"),
        (1, 1, 0, "kept and were never finished"),
        (2, 2, 2, "of one setting is kept 2 times"),
        (1, 1, 4, "3 finished too many, 2 could be in flight"),
        (0, 3, 3, "3 kept too many, 2 could be in flight"),
    ],
)
def test_what_was_lost_or_measured_twice_is_found(
    tmp_path, monkeypatch, delivered, kept, finished, fault
):
    monkeypatch.syspath_prepend(HERE)
    from checks import measurement_faults

    names = ("delivered", "measurements", "finished")
    for name, n in zip(names, (delivered, kept, finished), strict=True):
        (tmp_path / f"{name}.jsonl").write_text((json.dumps(LINE) + "\n") * n)
    faults = " ".join(measurement_faults(tmp_path, 2))
    assert (fault in faults) if fault else not faults
