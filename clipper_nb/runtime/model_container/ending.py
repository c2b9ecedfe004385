"""Ends a replica that hangs, in a way that a model cannot prevent."""

from __future__ import annotations

import contextlib
import faulthandler
import os

from clipper_nb.protocol.environment import HUNG_EXIT_STATUS

_STANDARD_ERROR = 2


def end_hung(reason: str) -> None:
    """Write to the log why this process ends and where each of its threads is, and end it.

    A thread that hangs may hold the locks of ``logging`` or ``sys.stderr``, so neither is used.
    """
    with contextlib.suppress(OSError):
        os.write(_STANDARD_ERROR, f"clipper_nb ends this replica: {reason}\n".encode())
        faulthandler.dump_traceback(_STANDARD_ERROR)
    os._exit(HUNG_EXIT_STATUS)
