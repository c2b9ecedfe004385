"""Children that a model forks are processes of their own."""

from __future__ import annotations

import multiprocessing
import signal
import time

import pytest

from clipper_nb.runtime.model_container.client import _wake_on_signals
from clipper_nb.runtime.model_container.forked_children import independent_children

FORK = multiprocessing.get_context("fork")


def _tell_handlers(results, forgotten):
    results.put((signal.getsignal(signal.SIGTERM), signal.set_wakeup_fd(-1), list(forgotten)))


def test_child_has_pythons_own_signal_handling():
    forgotten = []
    results = FORK.SimpleQueue()
    with _wake_on_signals(lambda: None), independent_children(lambda: forgotten.append("connections")):
        child = FORK.Process(target=_tell_handlers, args=(results, forgotten))
        child.start()
        assert results.get() == (signal.SIG_DFL, -1, ["connections"])
        child.join()
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
    assert forgotten == [], "the replica keeps its own"


def test_pool_is_terminated_while_its_task_runs():
    with _wake_on_signals(lambda: None), independent_children(lambda: None):
        with FORK.Pool(1) as pool:
            pool.apply_async(time.sleep, (3600,))
        pool.join()
        assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_child_that_is_ended_at_once_ends():
    """The signal may come before the child has run at all, with the replica's handlers still."""
    with _wake_on_signals(lambda: None), independent_children(lambda: None):
        for _ in range(100):
            child = FORK.Process(target=time.sleep, args=(3600,))
            child.start()
            child.terminate()
            child.join(timeout=20)
            assert child.exitcode == -signal.SIGTERM
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


def test_children_end_with_the_replica():
    with independent_children(lambda: None):
        child = FORK.Process(target=time.sleep, args=(3600,))
        child.start()
    child.join(timeout=60)
    assert child.exitcode == -signal.SIGKILL


def test_other_children_of_the_process_are_left_alone():
    results = FORK.SimpleQueue()
    handler = signal.getsignal(signal.SIGINT)
    child = FORK.Process(target=lambda: results.put(signal.getsignal(signal.SIGINT) == handler))
    child.start()
    assert results.get()
    child.join()
