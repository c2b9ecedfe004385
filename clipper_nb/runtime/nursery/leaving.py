"""Ends a forked replica without taking its interpreter apart.

That would write to each object, and so copy all the memory that the replica shares, only to free it.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading

from clipper_nb.runtime.nursery.fitness import HARMLESS_FILES, read_facts

_STANDARD_STREAMS = frozenset({0, 1, 2})


def leave() -> None:
    """Do what libraries have registered for the end of a process, and end this one.

    Returns if the model has files or sockets open: the interpreter's end writes what is left in their buffers.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    descriptors = read_facts().descriptors
    if any(fd not in _STANDARD_STREAMS and name not in HARMLESS_FILES for fd, name in descriptors.items()):
        return
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
