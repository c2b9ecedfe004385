"""The guardian starts the supervisor again when it is killed, and ends with it otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from clipper_nb.container_managers.local.supervisor.launching import can_watch_forked_processes

pytestmark = pytest.mark.skipif(not can_watch_forked_processes(), reason="needs a kernel with pidfds")

PROGRAM = """
import os, sys, time
from clipper_nb.container_managers.local.supervisor import guardian
from clipper_nb.container_managers.local.supervisor.guardian import guard
waits = guardian._wait_for
def late(pid):
    time.sleep(float(sys.argv[1]))  # as on a machine with much else to do
    return waits(pid)
guardian._wait_for = late
status = guard(was_up=lambda: False)
if status is None:
    print(os.getpid(), flush=True)
    status = int(sys.stdin.readline())
sys.exit(status)
"""


@pytest.fixture(params=[0.0])
def guardian(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A guardian whose child says its process id, reads an exit status and ends with it.

    The parameter is how many seconds later than its child the guardian goes on.
    """
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(request.param)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def _child_of(guardian: subprocess.Popen[str]) -> int:
    assert guardian.stdout is not None
    return int(guardian.stdout.readline())


def test_a_killed_child_is_followed_by_another(guardian: subprocess.Popen[str]) -> None:
    first = _child_of(guardian)
    os.kill(first, signal.SIGKILL)
    second = _child_of(guardian)
    assert len({first, second, guardian.pid}) == 3
    guardian.communicate("0\n", timeout=20)
    assert guardian.returncode == 0


def test_a_child_that_fails_at_its_start_is_not_repeated(guardian: subprocess.Popen[str]) -> None:
    _child_of(guardian)
    assert guardian.communicate("3\n", timeout=20)[0] == ""
    assert guardian.returncode == 3


@pytest.mark.parametrize("guardian", [0.0, 0.5], indirect=True)
def test_a_signal_to_end_is_passed_on_and_ends_both(guardian: subprocess.Popen[str]) -> None:
    _child_of(guardian)
    guardian.send_signal(signal.SIGTERM)
    assert guardian.wait(timeout=20) == signal.SIGTERM  # the child's input stays open: its end would end it, too
    assert guardian.communicate(timeout=20)[0] == ""
