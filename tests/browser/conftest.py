"""What the tests in a browser share."""

from pathlib import Path

import pytest
from browser.chromium import start_browser


@pytest.fixture(scope="session")
def browser():
    """One headless Chromium for all tests; each test opens pages in a context of its own."""
    with start_browser() as browser:
        yield browser


@pytest.fixture(scope="session")
def artifacts():
    """The folder that screenshots are kept in."""
    folder = Path(__file__).parents[2] / "artifacts"
    folder.mkdir(exist_ok=True)
    return folder
