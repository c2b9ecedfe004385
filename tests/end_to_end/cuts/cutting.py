"""Runs admin calls in a notebook's process of their own, cuts them at one step, and looks at what is left."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from clipper_nb import ClipperConnection
from clipper_nb.errors import ClipperException, ExistsError, NotFoundError, VersionClaimedError
from tests.end_to_end.cuts.cluster_state import ensure
from tests.end_to_end.cuts.faults import Killer
from tests.end_to_end.cuts.invariants import Outcome, images_of, look, problems
from tests.end_to_end.cuts.notebook_process import Notebook
from tests.end_to_end.cuts.operations import OPERATIONS, Operation, archive_of
from tests.end_to_end.cuts.steps import (
    INTERRUPTED,
    MANAGEMENT_KILLED,
    NOTEBOOK_KILLED,
    REDIS_KILLED,
    STORE_WRITE,
    Cut,
    Step,
    StepCounter,
    worth_cutting,
)
from tests.support.clusters import running_cluster
from tests.support.store_proxy import StoreProxy, store_proxy

_SETTLE_S = {"local": 10.0, "docker": 20.0}
"""What a cluster and a caller have to come right again; an engine takes seconds to stop a container."""
_REAPED_S = 0.7
"""What the cluster needs to stop what is not wanted, when it knows of that."""
_LONGEST_CALL_S = 40.0
_OF_ROLL_OUTS = ("roll_out_driver", "roll_out:")
"""How what is written begins that a roll-out writes by itself, whatever is called meanwhile."""


@dataclass(frozen=True)
class CutResult:
    """What a cut did."""

    cut: Cut
    was_reached: bool
    outcome: Outcome
    problems: tuple[str, ...]

    def __str__(self) -> str:
        return "\n    ".join([f"{self.cut}\n    the call {self.outcome}", *self.problems])


class Cutter:
    """Cuts calls on one running cluster.

    Parameters
    ----------
    conn : ClipperConnection
        The test's own connection, which brings the cluster to the state before each call, and looks.
    kind : str
        ``local`` or ``docker``.
    proxy : StoreProxy, optional
        Where writes of the store are seen.
    """

    def __init__(self, conn: ClipperConnection, kind: str, proxy: StoreProxy | None = None) -> None:
        self._conn = conn
        self._proxy = proxy
        self._settle_s = _SETTLE_S[kind]
        self._notebook = Notebook(kind, conn.cm.cluster_name)
        self._killer = Killer(conn)

    def __enter__(self) -> Cutter:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._notebook.close()
        archive_of(self._conn).unlink(missing_ok=True)

    def wait_s(self, cut: Cut) -> float:
        """Return how long the cut should wait while others are made."""
        return self._killer.wait_s(cut.fault)

    def record(self, operation: Operation) -> list[Step]:
        """Run a call without a fault, and return its steps; what it leads to must be right."""
        operation.prepare(self._conn)
        ensure(self._conn, operation.before)
        images = frozenset(images_of(self._conn))
        call = Call(operation.name, None, self._notebook, self._killer)
        outcome = self._run(call)
        assert outcome.kind == "returned", f"{operation.name}: {outcome}"
        found = self._wait_until_right(operation, outcome, images)
        assert found == [], f"{operation.name} without a fault: {found}"
        return worth_cutting(call.steps)

    def cut(self, cut: Cut) -> CutResult:
        """Run a call with a fault, and return what does not hold afterwards."""
        operation = OPERATIONS[cut.operation]
        operation.prepare(self._conn)
        ensure(self._conn, operation.before)
        images = frozenset(images_of(self._conn))
        call = Call(operation.name, cut, self._notebook, self._killer)
        outcome = self._run(call)
        found = [] if outcome.kind != "hung" else [f"the call has not ended after {_LONGEST_CALL_S:g} s"]
        # What a killed notebook has built stays for the same deploy made again, which is asked for below.
        known = None if outcome.kind == "killed" else images
        found += self._wait_until_right(operation, outcome, known)
        if outcome.kind == "killed" and not found and self._has_begun(operation):
            time.sleep(_REAPED_S)  # the claim has lapsed; what is right now is right after that, too
            found += self._wait_until_right(operation, outcome, known)
        found += self._retry(operation, images)
        return CutResult(cut, call.was_reached, outcome, tuple(found))

    def _run(self, call: Call) -> Outcome:
        if self._proxy is None:
            return call.run()
        self._proxy.on_write = call.on_write
        try:
            return call.run()
        finally:
            self._proxy.on_write = lambda label, moment: False

    def _has_begun(self, operation: Operation) -> bool:
        """Return whether anything is other than before the call."""
        with contextlib.suppress(ClipperException):
            return look(self._conn).facts != operation.before.facts()
        return True

    def _wait_until_right(
        self, operation: Operation, outcome: Outcome, images: frozenset[str] | None, settle_s: float | None = None
    ) -> list[str]:
        """Return what is still wrong when the time is over."""
        deadline_s = time.monotonic() + (self._settle_s if settle_s is None else settle_s)
        while True:
            try:
                found = problems(look(self._conn, images), operation, outcome)
            except ClipperException as exc:
                found = [f"the cluster does not answer: {exc}"]
            if not found or time.monotonic() > deadline_s:
                return found
            time.sleep(0.05)

    def _retry(self, operation: Operation, images: frozenset[str]) -> list[str]:
        """Make the call again, as a user would; return what it still does not lead to."""
        deadline_s = time.monotonic() + self._settle_s
        while True:
            told, is_done_already = _ask(operation, self._conn)
            settle_s = None if told.kind == "returned" else 0.0
            wrong = self._wait_until_right(operation, Outcome("returned again"), images, settle_s)
            is_right = not wrong or operation.undoes_itself
            if (told.kind == "returned" and not wrong) or (is_done_already and is_right):
                return []
            if time.monotonic() > deadline_s:
                return [f"made again, the call {told}", *(f"made again, {one}" for one in wrong)]
            time.sleep(0.2)


def _ask(operation: Operation, conn: ClipperConnection) -> tuple[Outcome, bool]:
    """Return what the caller is told, and whether that is that it was done before."""
    try:
        operation.run(conn)
    except ClipperException as exc:
        is_done_already = isinstance(exc, (ExistsError, NotFoundError)) and not isinstance(exc, VersionClaimedError)
        return Outcome("raised", type(exc).__name__, exc.msg), is_done_already
    return Outcome("returned"), False


class Call:
    """One call in the notebook's process, with its steps in the order in which they are told."""

    def __init__(self, operation: str, cut: Cut | None, notebook: Notebook, killer: Killer) -> None:
        self.steps: list[Step] = []
        self.was_reached = False
        self._operation = operation
        self._cut = cut
        self._notebook = notebook
        self._killer = killer
        self._counter = StepCounter()
        self._write: Step | None = None
        self._lock = threading.Lock()
        self._pid = 0

    def run(self) -> Outcome:
        """Return how the call ended."""
        self._notebook.begin(self._operation, self._cut)
        deadline_s = time.monotonic() + _LONGEST_CALL_S
        outcome = Outcome("killed")
        while True:
            try:
                message = self._notebook.next_message(max(0.1, deadline_s - time.monotonic()))
            except TimeoutError:
                outcome = Outcome("hung")
                self._signal(signal.SIGKILL)
                deadline_s += 10.0
                continue
            if "ended" in message:
                return outcome
            outcome = self._hear(message) or outcome

    def _hear(self, message: dict) -> Outcome | None:
        if "broken" in message:
            raise AssertionError(f"the notebook's process: {message['broken']}")
        if "pid" in message:
            self._pid = message["pid"]
        elif "step" in message:
            with self._lock:
                self.steps.append(Step(*message["step"]))
        elif "cut" in message:
            self._happen_in_notebook()
        elif "outcome" in message:
            return Outcome(message["outcome"], message.get("error_type", ""), message.get("message", ""))
        return None

    def _happen_in_notebook(self) -> None:
        assert self._cut is not None
        self.was_reached = True
        if self._cut.fault == NOTEBOOK_KILLED:
            self._signal(signal.SIGKILL)
        elif self._cut.fault in (MANAGEMENT_KILLED, REDIS_KILLED):
            self._killer.kill(self._cut.fault)
            self._notebook.go_on()

    def on_write(self, label: str, moment: str) -> bool:
        """Count a write of the store; at the cut let the fault happen, and say whether the connection breaks."""
        if label.startswith(_OF_ROLL_OUTS):
            return False
        with self._lock:
            if moment == "before":
                self._write = self._counter.next(STORE_WRITE, label)
            step = self._write
            assert step is not None
            self.steps.append(step)
            if self._cut is None or (self._cut.step, self._cut.moment) != (step, moment):
                return False
            self.was_reached = True
        if self._cut.fault in (MANAGEMENT_KILLED, REDIS_KILLED):
            self._killer.kill(self._cut.fault)
            return True
        self._signal(signal.SIGINT if self._cut.fault == INTERRUPTED else signal.SIGKILL)
        return False

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self._pid:
                os.kill(self._pid, number)


@contextlib.contextmanager
def local_cutter() -> Iterator[Cutter]:
    """Start an embedded cluster whose store writes are seen, and give what cuts calls on it."""
    with (
        tempfile.TemporaryDirectory(prefix="cuts-") as folder,
        running_cluster("local", query_token=True) as conn,
        store_proxy(conn, Path(folder)) as proxy,
        Cutter(conn, "local", proxy) as cutter,
    ):
        yield cutter


@contextlib.contextmanager
def docker_cutter() -> Iterator[Cutter]:
    """Start a cluster of containers, and give what cuts calls on it; writes of its store are not seen."""
    with running_cluster("docker", query_token=True) as conn, Cutter(conn, "docker") as cutter:
        yield cutter
