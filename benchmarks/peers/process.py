"""A server as a process: started, given up on, ended with everything that it started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil

STOP_S = 4.0
KILL_S = 10.0

_MARK = "BENCHMARK_SERVER"


@contextlib.contextmanager
def running_process(
    command: Sequence[str], *, folder: Path, log: Path, environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command* in a process group of its own, and leave nothing of it.

    Some servers (Ray) start processes in other groups; all of them carry a mark in their environment.
    """
    mark = uuid.uuid4().hex
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment, _MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _stop(process, mark)


def _stop(process: subprocess.Popen[bytes], mark: str) -> None:
    process.terminate()  # it alone: MLServer waits for workers that were told to end by somebody else
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_S)
    _signal_group(process, signal.SIGKILL)
    process.wait(KILL_S)
    deadline_s = time.monotonic() + KILL_S
    while left := _find_marked(mark):
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"Processes {[one.pid for one in left]} do not end.")
        for one in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        time.sleep(0.05)


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _find_marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(_MARK) == mark:
                found.append(process)
    return found
