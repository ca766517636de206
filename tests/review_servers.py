"""The review of a run: served by a thread, and by a process of its own that can be killed."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import closing
from pathlib import Path

from reviewed_run import WHEN

from sol.validator.review.routes import ReviewDesk
from sol.validator.review.server import ReviewServer
from sol.validator.review.session import ReviewRequest

_SOL = (sys.executable, "-c", "import sol.cli.review; from sol.cli import main; main()")


class ServedReview:
    """A server in a thread, and what a browser would send to it."""

    def __init__(self, run, token, reviewer="Ann"):
        self.token = token
        request = ReviewRequest(run, None, 3, False, lambda: WHEN)
        self.desk = ReviewDesk(request, reviewer)
        self.server = ReviewServer(self.desk, token)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def send(self, method, path, body=None, headers=None, token=None):
        """Status, headers and content."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        with closing(connection):
            connection.request(
                method, f"/{self.token if token is None else token}/{path}", body, headers or {}
            )
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read()

    def get(self, path="state"):
        status, _, content = self.send("GET", path)
        return status, json.loads(content)

    def post(self, path, data):
        headers = {"Content-Type": "application/json"}
        status, _, content = self.send("POST", path, json.dumps(data), headers)
        return status, json.loads(content)

    def raw(self, text):
        """The first line of the reply to bytes as they are."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=20) as connection:
            connection.sendall(text)
            connection.shutdown(socket.SHUT_WR)
            return connection.makefile("rb").readline().decode()

    @property
    def url(self):
        return self.server.url

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
        self.desk.close()


def run_sol(*arguments, **settings):
    """Runs the `sol` command to its end."""
    return subprocess.run(
        [*_SOL, *map(str, arguments)], capture_output=True, text=True, timeout=120, **settings
    )


class ReviewProcess:
    """A server of its own process group; `url` is what it printed."""

    def __init__(
        self, run: Path, *options: str, reviewer: str = "Ann", browser: str | None = None
    ) -> None:
        opens = "--open" if browser else "--no-open"
        self.process = subprocess.Popen(
            (*_SOL, "review", str(run), opens, "--reviewer", reviewer, *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,  # What `readline` would read ahead, `communicate` would not see.
            env=os.environ | ({"BROWSER": browser} if browser else {}),
        )
        stream = self.process.stderr if "--json" in options else self.process.stdout
        first = stream.readline().decode()
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
        return tuple(text.decode() for text in self.process.communicate(timeout=60))
