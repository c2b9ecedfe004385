"""What holds for all tests."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Iterator

import pytest

from clipper_nb.cluster.stale_modules import refuse_stale_modules
from clipper_nb.errors import ClusterStartError

pytest_plugins = ["tests.support.durations", "tests.support.examples", "tests.support.selection"]


def pytest_configure() -> None:
    """Let interrupts interrupt, here and in the processes that tests start: what a shell runs in the background does
    not hear them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _refuse_stale_modules()


def pytest_collection_finish() -> None:
    """Let the garbage collector leave alone what is there for good: thousands of tests, and all that they import."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def no_thread_goes_on_asking() -> Iterator[None]:
    """Fail where a call is over and a thread of it still asks the management frontend: all that follows is slow."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith(("clipper_nb replicas", "clipper_nb claim")):
            thread.join(15.0)
            assert not thread.is_alive(), thread.name


def _refuse_stale_modules() -> None:
    """Compiled modules come before their sources: an edit that was not compiled would not be tested."""
    try:
        refuse_stale_modules()
    except ClusterStartError as exc:
        pytest.exit(str(exc), 4)
