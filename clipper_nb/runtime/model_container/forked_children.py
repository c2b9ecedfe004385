"""Makes children that a model forks ordinary processes: not copies of the replica.

A forked child has the replica's signal handlers, so ``Pool.terminate()`` would not end it; its wake-up descriptor, so a
signal to the child would wake the replica; and its sockets, so the query frontend would not see that the replica has
ended. Children end with their replica: Python would wait for those of ``multiprocessing``, and the supervisor, or the
container, ends the others.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator

_on_fork: list[Callable[[], None]] = []


@contextlib.contextmanager
def independent_children(forget: Callable[[], None]) -> Iterator[None]:
    """Within the block, give forked children Python's own signal handling, and call *forget* in each of them.

    Children of ``multiprocessing`` that still run at its end are killed.
    """
    _on_fork.append(forget)
    try:
        yield
    finally:
        _on_fork.remove(forget)
        for child in multiprocessing.active_children():
            child.kill()


def _become_independent() -> None:
    if not _on_fork:
        return
    with contextlib.suppress(ValueError):  # forked by a thread of a subinterpreter, which has no handlers
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for forget in _on_fork:
        forget()


os.register_at_fork(after_in_child=_become_independent)
