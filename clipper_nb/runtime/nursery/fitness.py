"""Whether a process may fork copies of itself: what a fork breaks or shares by mistake is looked for, not assumed."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field

_MADE_FOR_FORKS = frozenset({"jemalloc_bg_thd"})
"""Names of threads whose library starts them again in a child, and takes their locks before the fork."""
HARMLESS_FILES = frozenset({"/dev/null", "/dev/urandom", "/dev/random"})
_PF_EXITING = 0x4  # from the kernel's sched.h
_FLAGS_FIELD = 6
"""Where ``stat`` has a thread's flags, counted after its name."""


@dataclass(frozen=True)
class ProcessFacts:
    """What a process holds that a fork shares or loses."""

    descriptors: Mapping[int, str] = field(default_factory=dict)
    """What each open descriptor refers to."""
    has_children: bool = False
    has_timer: bool = False


def read_facts() -> ProcessFacts:
    """Return the facts of this process."""
    return ProcessFacts(
        descriptors=_read_descriptors(),
        has_children=_has_children(),
        has_timer=any(signal.getitimer(timer)[0] for timer in (signal.ITIMER_REAL, signal.ITIMER_PROF)),
    )


def find_objection(before: ProcessFacts, now: ProcessFacts) -> str | None:
    """Return what speaks against a fork, of what has come since *before*; ``None`` if nothing does. (pure)"""
    new = {name for fd, name in now.descriptors.items() if before.descriptors.get(fd) != name}
    new_files = sorted(new - HARMLESS_FILES)
    if new_files:
        return f"it has {new_files[0]} open"
    if now.has_children:
        return "it started a process"
    return "it started a timer" if now.has_timer else None


def find_threads() -> str | None:
    """Return that threads run which a fork would lose, or ``None``; call it in the middle of a fork.

    Libraries such as OpenBLAS end their threads before each fork.
    """
    names = [name for thread_id in os.listdir("/proc/self/task") if (name := _running_thread(thread_id))]
    return f"it runs {len(names)} more threads ({', '.join(sorted(set(names)))})" if names else None


def _running_thread(thread_id: str) -> str | None:
    """Return the name of a thread, unless it is this one, has ended or is made for forks."""
    if int(thread_id) == os.getpid():
        return None
    with contextlib.suppress(OSError), open(f"/proc/self/task/{thread_id}/stat") as file:
        _, _, name_and_others = file.read().partition("(")
        name, _, others = name_and_others.rpartition(")")
        # The kernel may still list a thread that its library has waited for.
        has_ended = int(others.split()[_FLAGS_FIELD]) & _PF_EXITING
        return None if has_ended or name in _MADE_FOR_FORKS else name
    return None


def _read_descriptors() -> dict[int, str]:
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one of this list
            found[int(fd)] = os.readlink(f"/proc/self/fd/{fd}")
    return found


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
