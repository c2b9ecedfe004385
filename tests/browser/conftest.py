"""One browser for all tests of panels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.support.jupyter import running_chromium


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """Chromium without a window. While it is open its event loop counts as running in this thread, and nothing else
    may run one: it is closed when the tests of panels are done."""
    expect.set_options(timeout=30_000)  # of what is expected without a time of its own
    with running_chromium() as browser:
        yield browser
