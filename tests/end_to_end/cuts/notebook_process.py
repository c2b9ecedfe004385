"""Processes that do one admin call each, as a notebook of its own does, and that can be interrupted or killed in it.

``python -m tests.end_to_end.cuts.notebook_process FD`` imports everything once and forks a process for each call. It
and its children talk with the test over a socket of messages: what to do goes in; steps, cuts and outcomes come out.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from clipper_nb import ClipperConnection
from clipper_nb.deployers.python import closure_report
from tests.end_to_end.cuts.lifecycle import LIFECYCLES, manager_of
from tests.end_to_end.cuts.operations import OPERATIONS
from tests.end_to_end.cuts.seams import watch_seams
from tests.end_to_end.cuts.steps import INTERRUPTED, REFUSED, Cut, Step, StepCounter
from tests.support.clusters import disconnect, new_manager

_LONGEST_MESSAGE = 65536


class Notebook:
    """The test's end: starts the process that forks, and hands messages to and fro.

    Parameters
    ----------
    kind : str
        ``local`` or ``docker``.
    cluster_name : str
        What each call connects to.
    """

    def __init__(self, kind: str, cluster_name: str) -> None:
        self._where = {"kind": kind, "cluster_name": cluster_name}
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.end_to_end.cuts.notebook_process", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                start_new_session=True,  # a Ctrl-C in the terminal is the test's, which then ends this
            )

    def move_to(self, cluster_name: str) -> None:
        """Let the next calls be those of another cluster."""
        self._where["cluster_name"] = cluster_name

    def begin(self, operation: str, cut: Cut | None) -> None:
        """Let a new process do the call."""
        self._send({**self._where, "operation": operation, "cut": cut and cut.to_dict()})

    def next_message(self, timeout_s: float) -> dict[str, Any]:
        """Return what the process says next; raises ``TimeoutError``."""
        self._socket.settimeout(timeout_s)
        message: dict[str, Any] = json.loads(self._socket.recv(_LONGEST_MESSAGE))
        return message

    def go_on(self) -> None:
        """Let a process that waits at its cut go on."""
        self._send({"go": True})

    def close(self) -> None:
        """End everything."""
        self._socket.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=10)

    def _send(self, message: dict[str, Any]) -> None:
        self._socket.settimeout(10.0)
        self._socket.send(json.dumps(message).encode())


class _Reporter:
    """A forked process's end: numbers the steps, and does or waits for the fault at the one that is cut."""

    def __init__(self, channel: socket.socket, cut: Cut | None) -> None:
        self._channel = channel
        self._cut = cut
        self._counter = StepCounter()
        self._lock = threading.Lock()
        self.is_armed = False

    def begin(self, kind: str, label: str) -> Step:
        with self._lock:
            return self._counter.next(kind, label) if self.is_armed else Step(kind, label, 0)

    def reach(self, step: Step, moment: str) -> bool:
        if not self.is_armed or step.occurrence == 0:
            return False
        self.tell({"step": [step.kind, step.label, step.occurrence], "moment": moment})
        cut = self._cut
        if cut is None or (cut.step, cut.moment) != (step, moment):
            return False
        self.tell({"cut": True})
        if cut.fault == REFUSED:
            return True
        if cut.fault == INTERRUPTED:
            os.kill(os.getpid(), signal.SIGINT)
        else:
            self._channel.recv(_LONGEST_MESSAGE)  # until the fault has happened
        return False

    def tell(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._channel.send(json.dumps(message).encode())


def _do(channel: socket.socket, request: dict[str, Any]) -> None:
    """Connect, do the call, and tell how it ended."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    reporter = _Reporter(channel, request["cut"] and Cut.from_dict(request["cut"]))
    watch_seams(reporter)
    conn, run = _call_of(request)
    reporter.tell({"pid": os.getpid()})
    reporter.is_armed = True
    try:
        run(conn)
        outcome = {"outcome": "returned"}
    except BaseException as exc:
        outcome = {"outcome": "raised", "error_type": type(exc).__name__, "message": str(exc)[:2000]}
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reporter.is_armed = False
    reporter.tell(outcome)
    disconnect(conn.cm)


def _call_of(request: dict[str, Any]) -> tuple[ClipperConnection, Callable[[ClipperConnection], object]]:
    """Return a connection, to the cluster unless the call starts it, and the call."""
    name, lifecycle = request["cluster_name"], LIFECYCLES.get(request["operation"])
    conn = ClipperConnection(new_manager(request["kind"], name) if lifecycle is None else manager_of(name))
    if lifecycle is None or not lifecycle.is_start:
        conn.connect()
    return conn, OPERATIONS[request["operation"]].run if lifecycle is None else lifecycle.run


def _fork_for_each(channel: socket.socket) -> None:
    while message := channel.recv(_LONGEST_MESSAGE):
        request = json.loads(message)
        if "operation" not in request:
            continue  # the call ended before its other thread, which was cut, could go on
        pid = os.fork()
        if pid == 0:
            try:
                _do(channel, request)
            except BaseException as exc:
                channel.send(json.dumps({"broken": repr(exc)}).encode())
            finally:
                os._exit(0)
        _, status = os.waitpid(pid, 0)
        channel.send(json.dumps({"ended": os.waitstatus_to_exitcode(status)}).encode())


if __name__ == "__main__":
    closure_report(lambda inputs: inputs)  # what the first deploy looks up, all of them have then
    with socket.socket(fileno=int(sys.argv[1])) as _channel:
        _fork_for_each(_channel)
