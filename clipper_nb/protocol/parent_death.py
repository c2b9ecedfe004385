"""Makes the kernel end a process when its parent ends: nothing of a cluster outlives what would stop it."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1


def end_with_parent_hook() -> Callable[[], None] | None:
    """Return what a process calls to be ended with its parent; ``None`` except on Linux, which alone supports it.

    The hook imports nothing, so a child may call it between fork and exec.
    """
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
