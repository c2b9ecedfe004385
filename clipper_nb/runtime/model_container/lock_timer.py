"""Ends a replica whose model never gives the interpreter's lock back, in a way that needs no lock.

A call into C that holds the lock, such as the search of a regular expression, stops all other threads of Python, also
the one that would obey a query frontend's "end". So the kernel measures the processor time of the predicting thread,
and sends a signal when that thread has used too much since another one ran last. A paused process uses none.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import signal
import sys
import threading
import time
from collections.abc import Callable

from clipper_nb.runtime.model_container.session import SILENCE_TIMEOUT_S

_MARGIN_S = 5.0
_STANDARD_ERROR = 2


class _SignalEvent(ctypes.Structure):
    """``struct sigevent`` of Linux."""

    _fields_ = [
        ("value", ctypes.c_void_p),
        ("signal_number", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("others", ctypes.c_char * 48),
    ]


class _Setting(ctypes.Structure):
    """``struct itimerspec``: seconds and nanoseconds of the interval, and until the first signal."""

    _fields_ = [(name, ctypes.c_long) for name in ("interval_s", "interval_ns", "value_s", "value_ns")]


def lock_limit_s(hang_timeout_s: float | None) -> float | None:
    """Return for how long a model may compute without letting another thread run; ``None`` is for ever.

    A replica that has been silent for ``SILENCE_TIMEOUT_S`` is forgotten anyway, whatever the SLOs of its queries.
    """
    return None if hang_timeout_s is None else max(hang_timeout_s, SILENCE_TIMEOUT_S) + _MARGIN_S


def start_lock_timer(limit_s: float | None) -> Callable[[], object]:
    """End this process when the calling thread has computed for *limit_s* since the returned function was last called.

    Writes the stacks of all threads to the log first. Where the system cannot do this, or the model uses the signal,
    nothing is ended.
    """
    if limit_s is not None and sys.platform == "linux" and signal.getsignal(signal.SIGVTALRM) is signal.SIG_DFL:
        with contextlib.suppress(AttributeError, OSError):
            return _start(limit_s)
    return lambda: None


def _start(limit_s: float) -> Callable[[], object]:
    library = ctypes.CDLL(None, use_errno=True)
    timer = ctypes.c_void_p()
    event = _SignalEvent(signal_number=signal.SIGVTALRM)  # notify=0 is SIGEV_SIGNAL
    clock_id = time.pthread_getcpuclockid(threading.get_ident())
    if library.timer_create(ctypes.c_int(clock_id), ctypes.byref(event), ctypes.byref(timer)) != 0:
        raise OSError(ctypes.get_errno(), "timer_create")
    # The default action would not end the first process of a container.
    library.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    library.signal(signal.SIGVTALRM, ctypes.cast(library._exit, ctypes.c_void_p))
    faulthandler.register(signal.SIGVTALRM, file=_STANDARD_ERROR, all_threads=True, chain=True)
    setting = _Setting(value_s=int(limit_s), value_ns=int(limit_s % 1 * 1e9))
    arguments = (timer, 0, ctypes.byref(setting), None)
    return lambda: library.timer_settime(*arguments)
