"""What holds for all tests."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Let interrupts interrupt, here and in the processes that tests start: what a shell runs in the background does
    not hear them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
