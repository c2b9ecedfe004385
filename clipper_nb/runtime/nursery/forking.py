"""Forks a process that is not a child of this one: it becomes its grandparent's, the supervisor's.

So it outlives the process that forked it. A process between the two ends at once, and the supervisor, which asked the
kernel for orphans among its descendants, becomes the parent.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

_ADOPTION_TIMEOUT_S = 10.0
_POLL_INTERVAL_S = 0.0005


def fork_to(
    supervisor_pid: int, find_refusal: Callable[[], str | None], meanwhile: Callable[[], None] | None = None
) -> int | str:
    """Fork; return 0 in the new process, and its id, or why there is none, in this one.

    Parameters
    ----------
    find_refusal : callable
        Is called in this process in the middle of the fork, when libraries have ended the threads that they end before
        a fork. What it returns is the reason against it, or ``None``.
    meanwhile : callable, optional
        Is called in this process while the one in the middle forks, which copies as much memory again.
    """
    verdict_reader, verdict_writer = os.pipe()
    pid_reader, pid_writer = os.pipe()
    between_pid = os.fork()
    if between_pid == 0:
        os.close(verdict_writer)
        os.close(pid_reader)
        if not os.read(verdict_reader, 1):
            os._exit(0)
        pid = os.fork()
        if pid:
            os.write(pid_writer, str(pid).encode())
            os._exit(0)
        os.close(verdict_reader)
        os.close(pid_writer)
        _wait_for_adoption(supervisor_pid)
        return 0
    os.close(verdict_reader)
    os.close(pid_writer)
    refusal = find_refusal()
    if refusal is None:
        os.write(verdict_writer, b"1")
    os.close(verdict_writer)
    if meanwhile is not None:
        meanwhile()
    pid_text = os.read(pid_reader, 32)
    os.close(pid_reader)
    os.waitpid(between_pid, 0)  # from here on the new process is the supervisor's child
    if refusal is not None:
        return refusal
    return int(pid_text) if pid_text else "could not fork"


def try_fork(find_refusal: Callable[[], str | None]) -> str | None:
    """Fork a process that ends at once; return what *find_refusal* returns in the middle of that."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    try:
        return find_refusal()
    finally:
        os.waitpid(pid, 0)


def _wait_for_adoption(supervisor_pid: int) -> None:
    """Return when the supervisor is the parent; end this process if it does not become that."""
    deadline_s = time.monotonic() + _ADOPTION_TIMEOUT_S
    while os.getppid() != supervisor_pid:
        if time.monotonic() > deadline_s:
            os._exit(128 + signal.SIGKILL)
        time.sleep(_POLL_INTERVAL_S)
