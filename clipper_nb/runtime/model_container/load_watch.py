"""Shows in the log where the load of a model hangs, or crashes."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import time
from collections.abc import Iterator

_SHARE_OF_TIMEOUT = 0.8
_LEAST_LEFT_S = 0.1
_THREAD_ENDS_WITHIN_S = 1.0
_POLL_INTERVAL_S = 0.0002


@contextlib.contextmanager
def watch_load(timeout_s: float | None, *, spent_s: float = 0.0) -> Iterator[None]:
    """Within the block, write the stack of each thread if it crashes, or shortly before the caller's timeout.

    Parameters
    ----------
    timeout_s : float or None
        After so many seconds the caller gives up; ``None`` if it waits for as long as the load takes.
    spent_s : float
        How many of them are over.
    """
    faulthandler.enable()
    before = _thread_ids()
    if timeout_s is not None:
        faulthandler.dump_traceback_later(max(_LEAST_LEFT_S, _SHARE_OF_TIMEOUT * timeout_s - spent_s), exit=False)
    watching = _thread_ids() - before
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        # The thread that waited for the timeout has been told to end; who forks must not meet it.
        deadline_s = time.monotonic() + _THREAD_ENDS_WITHIN_S
        while watching & _thread_ids() and time.monotonic() < deadline_s:
            time.sleep(_POLL_INTERVAL_S)


def _thread_ids() -> set[str]:
    """Return the ids of this process's threads; none where the system does not tell."""
    try:
        return set(os.listdir("/proc/self/task"))
    except OSError:
        return set()
