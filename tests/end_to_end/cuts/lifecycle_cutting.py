"""Cuts starts and stops of whole clusters at one step, each of a cluster of its own, and looks at what is left."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from types import TracebackType

from clipper_nb import ClipperConnection
from clipper_nb.errors import ClipperException, ExistsError
from tests.end_to_end.cuts.cutting import Call, CutResult
from tests.end_to_end.cuts.faults import Killer
from tests.end_to_end.cuts.invariants import Outcome
from tests.end_to_end.cuts.lifecycle import KEPT, LIFECYCLES, RUNNING, Lifecycle, manager_of, root_of, state_of
from tests.end_to_end.cuts.notebook_process import Notebook
from tests.end_to_end.cuts.steps import Cut, Step, worth_cutting
from tests.support.clusters import leftovers, new_cluster_name

_SETTLE_S = 15.0


class LifecycleCutter:
    """Cuts starts and stops of embedded clusters."""

    def __init__(self) -> None:
        self._notebook = Notebook("local", "")

    def __enter__(self) -> LifecycleCutter:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._notebook.close()

    def wait_s(self, cut: Cut) -> float:
        """Return 0: each cluster suffers once."""
        return 0.0

    def record(self, name: str) -> list[Step]:
        """Run a call without a fault, and return its steps; what it leads to must be right."""
        operation = LIFECYCLES[name]
        with _cluster(operation) as conn:
            call = self._begin(operation, None, conn)
            outcome = call.run()
            assert outcome.kind == "returned", f"{name}: {outcome}"
            found = _wait_for(operation, conn, {operation.after})
            assert found == [], f"{name} without a fault: {found}"
            return worth_cutting(call.steps)

    def cut(self, cut: Cut) -> CutResult:
        """Run a call with a fault, and return what does not hold afterwards."""
        operation = LIFECYCLES[cut.operation]
        with _cluster(operation) as conn:
            call = self._begin(operation, cut, conn)
            outcome = call.run()
            found = ["the call has not ended"] if outcome.kind == "hung" else []
            found += _wait_for(operation, conn, _legal(operation, outcome))
            found += _repeat(operation, conn)
            return CutResult(cut, call.was_reached, outcome, tuple(found))

    def _begin(self, operation: Lifecycle, cut: Cut | None, conn: ClipperConnection) -> Call:
        self._notebook.move_to(conn.cm.cluster_name)
        return Call(operation.name, cut, self._notebook, _LenientKiller(conn))


class _LenientKiller(Killer):
    """Kills what there is: while a cluster starts or stops, a process may not be there."""

    def kill(self, fault: str) -> None:
        with contextlib.suppress(StopIteration, ClipperException, ProcessLookupError):
            super().kill(fault)


@contextlib.contextmanager
def _cluster(operation: Lifecycle) -> Iterator[ClipperConnection]:
    """Give a connection to a cluster in the state before, and see afterwards that nothing of it is left."""
    conn = ClipperConnection(manager_of(new_cluster_name()))
    try:
        operation.bring_about(conn)
        yield conn
    finally:
        manager = manager_of(conn.cm.cluster_name)
        ClipperConnection(manager).stop_all()
        assert leftovers(manager) == []
        root_of(manager.cluster_name).rmdir()


def _legal(operation: Lifecycle, outcome: Outcome) -> set[str]:
    return {operation.after} if outcome.kind == "returned" else {operation.before, operation.after}


def _wait_for(operation: Lifecycle, conn: ClipperConnection, legal: set[str]) -> list[str]:
    deadline_s = time.monotonic() + _SETTLE_S
    while True:
        is_last = time.monotonic() > deadline_s  # a look at a cluster that is ending may take long
        state = state_of(conn.cm.cluster_name, has_endpoint=operation.has_endpoint)
        if state in legal:
            return []
        if is_last:
            return [f"the cluster is {state}, should be {' or '.join(sorted(legal))}"]
        time.sleep(0.1)


def _repeat(operation: Lifecycle, before: ClipperConnection) -> list[str]:
    """Make the call again, as another notebook does; a kept cluster is resumed then, with all that it had."""
    conn = ClipperConnection(manager_of(before.cm.cluster_name))
    try:
        operation.run(conn)
    except ExistsError:
        pass  # it runs already
    except ClipperException as exc:
        return [f"made again, the call raised {type(exc).__name__}: {exc.msg[:300]}"]
    found = _wait_for(operation, conn, {operation.after})
    if operation.after == KEPT and not found:
        conn.start_clipper()
        found = _wait_for(operation, conn, {RUNNING})
    return [f"made again, {each}" for each in found]
