"""What could not be done is tried again until it is, or until the watch ends."""

from __future__ import annotations

import threading

from clipper_nb.container_managers.docker.retries import Retries

NAME = "retries of a test"


class _Attempt:
    """Succeeds at the last of some times."""

    def __init__(self, num_failures: int) -> None:
        self.num_made, self._num_failures = 0, num_failures
        self.has_succeeded = threading.Event()

    def __call__(self) -> bool:
        self.num_made += 1
        if self.num_made <= self._num_failures:
            return False
        self.has_succeeded.set()
        return True


def _thread() -> threading.Thread | None:
    return next((thread for thread in threading.enumerate() if thread.name == NAME), None)


def _join() -> None:
    thread = _thread()
    if thread is not None:
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_attempts_are_made_until_each_has_succeeded() -> None:
    retries = Retries(NAME, threading.Event(), 0.001)
    first, second = _Attempt(2), _Attempt(5)
    retries.until_it_succeeds("first", first)
    retries.until_it_succeeds("second", second)
    assert first.has_succeeded.wait(10)
    assert second.has_succeeded.wait(10)
    _join()
    assert (first.num_made, second.num_made) == (3, 6)


def test_thread_that_has_ended_is_followed_by_another() -> None:
    retries = Retries(NAME, threading.Event(), 0.001)
    for _ in range(3):
        attempt = _Attempt(0)
        retries.until_it_succeeds("it", attempt)
        assert attempt.has_succeeded.wait(10)
        _join()
        assert attempt.num_made == 1


def test_newer_attempt_replaces_an_older_one() -> None:
    stopping = threading.Event()
    retries = Retries(NAME, stopping, 0.001)
    old, new = _Attempt(10**9), _Attempt(0)
    retries.until_it_succeeds("it", old)
    retries.until_it_succeeds("it", new)
    assert new.has_succeeded.wait(10)
    _join()


def test_attempts_end_with_the_watch() -> None:
    stopping = threading.Event()
    retries = Retries(NAME, stopping, 0.001)
    attempt = _Attempt(10**9)
    retries.until_it_succeeds("it", attempt)
    stopping.set()
    _join()
    retries.until_it_succeeds("it", attempt)
    assert _thread() is None
