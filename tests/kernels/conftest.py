"""The kernels in Triton's interpreter, in a process of their own."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def run_interpreted():
    """Calls an operator by name in a process that interprets; gives (outputs, arguments after)."""
    pytest.importorskip("triton", reason="triton is not installed: its interpreter runs these.")
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("interpret.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "TRITON_INTERPRET": "1"},
    )

    def run(name, arguments):
        pickle.dump((name, arguments), process.stdin)
        process.stdin.flush()
        return pickle.load(process.stdout)

    with process:
        yield run
        process.stdin.close()
