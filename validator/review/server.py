"""The local server of a review: loopback only, and nothing without the token in the address."""

from __future__ import annotations

import hmac
import json
import socketserver
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sol.validator.review.plan import ReviewError
from sol.validator.review.routes import Reply, ReviewDesk, reply_error, respond

HOST = "127.0.0.1"
LARGEST_BODY = 16 * 1024
_DRAINED = 1024 * 1024
"""Bytes of a refused body that are read, so that its sender gets to see the refusal."""
_LONGEST_LENGTH = 10
"""Digits of a length: more of them do not make it shorter."""
_OWN_NAMES = frozenset({"127.0.0.1", "localhost"})
_CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class ReviewServer(ThreadingHTTPServer):
    """Serves one desk until it is shut down."""

    daemon_threads = True

    def __init__(self, desk: ReviewDesk, token: str, port: int = 0) -> None:
        """Listens; requests are answered once `serve_forever` runs.

        Args:
            token: What an address must begin with.
            port: 0 for any that is free.

        Raises:
            ReviewError: The port is taken, or not for this user.
        """
        self.desk = desk
        self.token = token
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise ReviewError(
                f"Cannot listen on port {port}: {error}. Choose another --port, or leave it out."
            ) from error

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """The page's address. Whoever has it may answer."""
        return f"http://{HOST}:{self.port}/{self.token}/"

    def server_bind(self) -> None:
        """Binds without asking a name server who 127.0.0.1 is, as HTTPServer would."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.port

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A page that was closed while it was loading is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Refusal(Exception):
    """A request that is answered with a status and a reason, and nothing else."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: ReviewServer
    timeout = 30

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def version_string(self) -> str:
        return "sol"

    def log_message(self, format: str, *args: Any) -> None:
        """The terminal is not for every request; and addresses hold the token."""

    def send_error(
        self, code: int, message: str | None = None, explain: str | None = None
    ) -> None:
        """For what the base class refuses: malformed requests and other methods."""
        self._send(reply_error(code, message or HTTPStatus(code).phrase))

    def _answer(self, method: str) -> None:
        try:
            path = self._admit()
            body = self._read_json() if method == "POST" else None
        except _Refusal as refusal:
            self._send(reply_error(refusal.status, str(refusal)))
        else:
            self._send(respond(self.server.desk, method, path, body))

    def _admit(self) -> str:
        """The path after the token, for who knows the token and asks this server by its name."""
        hosts = self.headers.get_all("Host") or []
        # Another site whose name was made to point here (DNS rebinding) still sends that name.
        if len(hosts) != 1 or hosts[0].partition(":")[0] not in _OWN_NAMES:
            raise _Refusal(HTTPStatus.FORBIDDEN, "This server answers to 127.0.0.1 alone.")
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{hosts[0]}":
            raise _Refusal(HTTPStatus.FORBIDDEN, "Requests of other sites are refused.")
        path = self.path.partition("?")[0]
        token, _, rest = path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise _Refusal(
                HTTPStatus.FORBIDDEN,
                "The address lacks this server's token: open the one that `sol review` printed.",
            )
        return rest

    def _read_json(self) -> Any:
        length = self._check_length()
        if self.headers.get_content_type() != "application/json":
            raise _Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The body must be application/json.")
        content = self.rfile.read(length)
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            raise _Refusal(HTTPStatus.BAD_REQUEST, "The body is not JSON.") from error

    def _check_length(self) -> int:
        text = self.headers.get("Content-Length", "")
        if not text.isascii() or not text.isdigit():
            raise _Refusal(HTTPStatus.LENGTH_REQUIRED, "Content-Length is required.")
        length = int(text[:_LONGEST_LENGTH])
        if length > LARGEST_BODY:
            self.rfile.read(min(length, _DRAINED))
            raise _Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A body has at most {LARGEST_BODY} bytes."
            )
        return length

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", reply.media_type)
        self.send_header("Content-Length", str(len(reply.content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.content)
