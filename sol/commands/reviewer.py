"""Who speaks, where the command line does not say it."""

from __future__ import annotations

import getpass
import subprocess
from datetime import UTC, datetime

_TIME_LIMIT_S = 10


def find_reviewer() -> str | None:
    """Git's `user.name`, or else the name of the login; None where there is neither."""
    return _ask_git() or _ask_login()


def tell_time() -> str:
    """Now, ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _ask_git() -> str | None:
    try:
        done = subprocess.run(
            ["git", "config", "user.name"], capture_output=True, text=True, timeout=_TIME_LIMIT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _ask_login() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None
