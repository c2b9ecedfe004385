"""Tries again, in a thread of its own, what could not be done yet."""

from __future__ import annotations

import threading
from collections.abc import Callable

Attempt = Callable[[], bool]
"""Does something, and returns whether it need not be tried again; raises nothing."""


class Retries:
    """Attempts that failed, each made again until it succeeds; the thread ends with the last one.

    Parameters
    ----------
    name : str
        The thread's.
    stopping : threading.Event
        Ends all attempts.
    interval_s : float
        Time between two rounds.
    """

    def __init__(self, name: str, stopping: threading.Event, interval_s: float) -> None:
        self._name = name
        self._stopping = stopping
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._attempts: dict[str, Attempt] = {}
        self._is_running = False

    def until_it_succeeds(self, what: str, attempt: Attempt) -> None:
        """Make an attempt in each round from now on; another one for the same thing replaces it."""
        with self._lock:
            self._attempts[what] = attempt
            if self._is_running or self._stopping.is_set():
                return
            self._is_running = True
        threading.Thread(target=self._run, name=self._name, daemon=True).start()

    def _run(self) -> None:
        while not self._stopping.wait(self._interval_s):
            for what, attempt in list(self._attempts.items()):
                if attempt():
                    self._forget(what, attempt)
            with self._lock:
                if not self._attempts:
                    self._is_running = False
                    return

    def _forget(self, what: str, attempt: Attempt) -> None:
        with self._lock:
            if self._attempts.get(what) is attempt:
                del self._attempts[what]
