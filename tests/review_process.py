"""`sol review` as a process of its own, to be killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

_SOL = (sys.executable, "-c", "import sol.cli.review; from sol.cli import main; main()")


def run_sol(*arguments, **settings):
    """Runs the `sol` command to its end."""
    return subprocess.run(
        [*_SOL, *map(str, arguments)], capture_output=True, text=True, timeout=120, **settings
    )


class ReviewProcess:
    """A server of its own process group; `url` is what it printed."""

    def __init__(self, run: Path, *options: str, reviewer: str = "Ann") -> None:
        command = (*_SOL, "review", str(run), "--no-open", "--reviewer", reviewer, *options)
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        stream = self.process.stderr if "--json" in options else self.process.stdout
        first = stream.readline()
        self.url = first.removeprefix("Review page: ").strip()
        if not self.url.startswith("http://127.0.0.1:"):
            raise RuntimeError(f"{first}{self.process.communicate()}")

    def state(self):
        with urllib.request.urlopen(f"{self.url}state", timeout=30) as reply:
            return json.load(reply)

    def post(self, path, data):
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(data).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)

    def kill(self):
        """As the kernel does when memory is short: no time to clean up."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def end(self, sign=signal.SIGINT):
        """As a person does: what was printed until the end."""
        os.kill(self.process.pid, sign)
        return self.process.communicate(timeout=60)
