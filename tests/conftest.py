"""What holds for all tests."""

from __future__ import annotations

import gc
import signal

import pytest

from clipper_nb.cluster.stale_modules import refuse_stale_modules
from clipper_nb.errors import ClusterStartError

pytest_plugins = ["tests.support.durations", "tests.support.selection"]


def pytest_configure() -> None:
    """Let interrupts interrupt, here and in the processes that tests start: what a shell runs in the background does
    not hear them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _refuse_stale_modules()


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what is there for good: thousands of tests, and all that they import."""
    gc.collect()
    gc.freeze()


def _refuse_stale_modules() -> None:
    """Compiled modules come before their sources: an edit that was not compiled would not be tested."""
    try:
        refuse_stale_modules()
    except ClusterStartError as exc:
        pytest.exit(str(exc), 4)
