"""The guardian: the supervisor's parent, which starts it again when it is killed, and does nothing else.

It holds the cluster's listening sockets, which the supervisor inherits, and becomes the parent of what a killed
supervisor leaves. The new supervisor adopts that: see ``adoption.py``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from types import FrameType

from clipper_nb.container_managers.local.supervisor.descendants import adopt_orphans
from clipper_nb.container_managers.local.supervisor.launching import can_watch_forked_processes
from clipper_nb.protocol.restart_delay import RestartDelays

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def guard(was_up: Callable[[], bool]) -> int | None:
    """Return ``None`` in a child, which is to be the supervisor; in this process, the exit status to end with.

    A child that was killed, or that failed after it *was_up*, is followed by another one, unless this process was
    told to end. Where the kernel cannot leave the processes of a killed supervisor to its parent, there is no child.
    """
    if not (can_watch_forked_processes() and adopt_orphans()):
        return None
    delays = RestartDelays()
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # until there is a child that they can be passed on to
    while True:
        started_s = time.monotonic()
        pid = os.fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            return None
        status, was_told_to_end = _wait_for(pid)
        if status == 0 or was_told_to_end or (status > 0 and not was_up()):
            return abs(status)
        was_killed = status < 0  # so it works
        delay_s = delays.after_end(lived_s=time.monotonic() - started_s, was_ready=was_killed)
        logger.warning("the supervisor ended with status %d; starting it again in %.2f s", status, delay_s)
        time.sleep(delay_s)


def _wait_for(pid: int) -> tuple[int, bool]:
    """Return the status of a child that has ended, and whether a signal to this process was passed on to it before.

    Meanwhile whatever else has ended is reaped.
    """
    passed_on: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        passed_on.append(number)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    for number in _SIGNALS:
        signal.signal(number, pass_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    try:
        while True:
            ended, status = os.wait()
            if ended == pid:
                return os.waitstatus_to_exitcode(status), bool(passed_on)
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
