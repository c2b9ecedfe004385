"""Makes children that a model forks ordinary processes: not copies of the replica.

A forked child has the replica's signal handlers, so ``Pool.terminate()`` would not end it; its wake-up descriptor, so a
signal to the child would wake the replica; and its sockets, so the query frontend would not see that the replica has
ended. A signal that comes before a child has its own handling waits until then: Python forgets what comes during a
fork, and a pool that is terminated at once would wait for its workers for ever. Children end with their replica: Python
would wait for those of ``multiprocessing``, and the supervisor, or the container, ends the others.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator

_ENDING = {signal.SIGTERM, signal.SIGINT}
_on_fork: list[Callable[[], None]] = []
_forking = threading.local()
"""Of each thread: the signals that were blocked before it forked, in ``blocked`` while it does."""


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


def _hold_signals() -> None:
    if _on_fork:
        _forking.blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


def _release_signals() -> None:
    blocked = _forking.__dict__.pop("blocked", None)
    if blocked is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def _become_independent() -> None:
    if not _on_fork:
        return
    with contextlib.suppress(ValueError):  # forked by a thread of a subinterpreter, which has no handlers
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _release_signals()
    for forget in _on_fork:
        forget()


os.register_at_fork(before=_hold_signals, after_in_parent=_release_signals, after_in_child=_become_independent)
