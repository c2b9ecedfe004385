"""Decides whether to poll for a moment before sleeping, when the next message is expected sooner than a core wakes up.

A sleeping process takes tens of microseconds to wake up, most of them in a virtual machine whose core sleeps too. One
whose messages come sooner after each other polls for the next. It stops as soon as others need its core, and where
messages are rare it never begins: an idle process sleeps.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

MAX_WAIT_S: Final = 0.0004
"""The longest usual wait for which polling is worthwhile; it ends after half as long again."""
_LONG_WAIT_S: Final = 0.002
_WEIGHT: Final = 0.125
DISTURBED_S: Final = 0.0001
"""One look takes a few microseconds; if it takes longer, another process needed the core."""
REST_S: Final = 0.5
"""How long not to poll after that."""
_CONTROL_GROUPS: Final = Path("/sys/fs/cgroup")


class ShortWaits:
    """Learns how long its user usually waits. (pure)

    Parameters
    ----------
    is_allowed : bool
        Whether a core may be kept busy at all; see :func:`has_spare_core`.
    """

    def __init__(self, *, is_allowed: bool) -> None:
        self._usual_wait_s = _LONG_WAIT_S
        self._not_before_s = 0.0 if is_allowed else float("inf")
        self._last_look_s = 0.0

    def poll_for_s(self, *, now_s: float) -> float:
        """Return for how long to poll, from now on; mostly 0."""
        if self._usual_wait_s > MAX_WAIT_S or now_s < self._not_before_s:
            return 0.0
        self._last_look_s = now_s
        return 1.5 * MAX_WAIT_S

    def looked(self, *, now_s: float) -> bool:
        """Record that nothing has come yet; return whether to look again."""
        if now_s - self._last_look_s > DISTURBED_S:
            self._not_before_s = now_s + REST_S
            return False
        self._last_look_s = now_s
        return True

    def waited(self, wait_s: float) -> None:
        """Learn from a wait that has ended."""
        self._usual_wait_s += _WEIGHT * (min(wait_s, _LONG_WAIT_S) - self._usual_wait_s)


class WakefulLoop:
    """Keeps an event loop from sleeping until an answer that is expected very soon has come.

    Parameters
    ----------
    call_soon : callable
        Runs a function in the event loop's next turn, which then looks for messages without waiting.
    clock : callable
        Monotonic seconds.
    waits : ShortWaits
    """

    def __init__(
        self, call_soon: Callable[[Callable[[], None]], Any], clock: Callable[[], float], waits: ShortWaits
    ) -> None:
        self._call_soon = call_soon
        self._clock = clock
        self._waits = waits
        self._until_s = 0.0
        self._is_due = False
        self._asked_s = 0.0

    def asked(self, now_s: float) -> None:
        """Stay awake after something was sent that is usually answered at once."""
        self._asked_s = now_s
        poll_for_s = self._waits.poll_for_s(now_s=now_s)
        if poll_for_s:
            self._until_s = now_s + poll_for_s
            if not self._is_due:
                self._is_due = True
                self._call_soon(self._look)

    def answered(self, now_s: float) -> None:
        """Sleep again."""
        self._waits.waited(now_s - self._asked_s)
        self._until_s = 0.0

    def _look(self) -> None:
        now_s = self._clock()
        self._is_due = now_s < self._until_s and self._waits.looked(now_s=now_s)
        if self._is_due:
            give_way()
            self._call_soon(self._look)


def give_way() -> None:
    """Let another process run that waits for this core."""
    if hasattr(os, "sched_yield"):
        os.sched_yield()


def has_spare_core(groups: Path = _CONTROL_GROUPS) -> bool:
    """Return whether this process has several cores, and need not count how much it uses them."""
    if not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2:
        return False
    return not any(_limits_cpu(path) for path in _quota_files(groups))


def _quota_files(root: Path) -> list[Path]:
    """Return where Linux says how much processor time a container has, in both versions of its control groups."""
    files = [root / "cpu.max", root / "cpu/cpu.cfs_quota_us"]
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return files
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            files.append(root / group.lstrip("/") / "cpu.max")
        elif "cpu" in controllers.split(","):
            files.append(root / "cpu" / group.lstrip("/") / "cpu.cfs_quota_us")
    return files


def _limits_cpu(path: Path) -> bool:
    try:
        quota = path.read_text().split()[0]
    except (OSError, IndexError):
        return False
    return quota not in ("max", "-1")
