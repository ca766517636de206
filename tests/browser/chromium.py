"""A real Chromium for tests: Debian's package, driven through Playwright."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

EXECUTABLE = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def start_browser() -> Iterator[Browser]:
    """A headless Chromium; it fails, and never skips, where there is none."""
    if not EXECUTABLE.is_file():
        raise RuntimeError(f"Browser tests need {EXECUTABLE}: apt-get install -y chromium.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(EXECUTABLE), args=list(ARGUMENTS), headless=True
        )
        yield browser
        browser.close()
