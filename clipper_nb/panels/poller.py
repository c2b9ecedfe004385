"""Polls a cluster once a second for all panels that show it, while at least one of them is visible."""

from __future__ import annotations

import logging
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from clipper_nb.clients.frontend_client import FrontendClient
from clipper_nb.clients.trust import Trust
from clipper_nb.errors import ClipperException, NotFoundError
from clipper_nb.panels.changes import Event, find_events
from clipper_nb.panels.cluster_state import ClusterState, make_cluster_state
from clipper_nb.panels.counts import Counts, parse_counts
from clipper_nb.panels.history import History
from clipper_nb.panels.running_cell import RunningCell

if TYPE_CHECKING:
    from clipper_nb.cluster.ports import PanelCalls, Records
    from clipper_nb.container_managers.base import ContainerManager
    from clipper_nb.protocol.containers import ObservedContainer
    from clipper_nb.protocol.roll_out import RollOutInfo

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
_SEEN_LASTS_S = 12.0
"""A panel on a visible page reports that every five seconds."""
_CONTAINERS_EVERY_S = 3.0
"""Docker takes longer to list its containers than all other sources together."""
_METRICS_TIMEOUT_S = 5.0
_MAX_EVENTS = 200

Watcher = Callable[["Poller"], None]


class Poller:
    """Holds the state and history of a cluster, and calls its watchers after each poll.

    It has one thread, and everything that changes a widget runs in that one, since widgets are not thread-safe: other
    threads use :meth:`call_soon`. The thread ends with the last watcher.

    Parameters
    ----------
    conn : PanelCalls
    seen_lasts_s : float
        How long it polls after a panel was last known to be visible.

    Attributes
    ----------
    state : ClusterState
        As of the last poll.
    history : History
    events : deque of Event
        What changed, oldest first.
    num_polls : int
    """

    def __init__(self, conn: PanelCalls, *, seen_lasts_s: float = _SEEN_LASTS_S) -> None:
        self._conn = weakref.ref(conn)
        self._seen_lasts_s = seen_lasts_s
        self.state = ClusterState(conn.cm.cluster_name)
        self.history = History()
        self.events: deque[Event] = deque(maxlen=_MAX_EVENTS)
        self.num_polls = 0
        self._watchers: list[Watcher] = []
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._running_cell = RunningCell()
        self._is_seen_until_s = 0.0
        self._next_look_s = 0.0
        self._next_container_look_s = 0.0
        self._containers: Sequence[ObservedContainer] = ()
        self._num_connected = 0
        self._frontend: FrontendClient | None = None
        self._frontend_key: tuple[str, str | None, Trust | None] | None = None

    def watch(self, watcher: Watcher) -> None:
        """Call *watcher* after each poll, until :meth:`unwatch`."""
        self.seen()
        with self._lock:
            self._watchers.append(watcher)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="clipper-panels", daemon=True)
                self._thread.start()

    def unwatch(self, watcher: Watcher) -> None:
        """Stop calling *watcher*."""
        with self._lock:
            if watcher in self._watchers:
                self._watchers.remove(watcher)
        self.call_soon(lambda: None)

    def seen(self) -> None:
        """Record that a panel is visible."""
        was_seen = self._is_seen()
        self._is_seen_until_s = time.monotonic() + self._seen_lasts_s
        if not was_seen:
            self.poll_soon()

    def poll_soon(self) -> None:
        """Poll now, not at the end of the interval: something was changed."""
        self._next_look_s = self._next_container_look_s = 0.0
        self.call_soon(lambda: None)

    def call_soon(self, call: Callable[[], None]) -> None:
        """Run *call* in the thread that changes widgets."""
        self._calls.put(call)

    def poll(self) -> None:
        """Poll the cluster once."""
        now = time.time()
        try:
            state = self._observe(now)
        except ClipperException as exc:
            state = replace(self.state, problem=str(exc))
        except Exception as exc:  # a failed poll must not end the thread
            logger.debug("the cluster cannot be polled", exc_info=True)
            state = replace(self.state, problem=f"{type(exc).__name__}: {exc}")
        self.events.extend(find_events(self.state, state, now))
        self.state = state
        self.num_polls += 1

    def _observe(self, now: float) -> ClusterState:
        conn = self._conn()
        if conn is None or not conn.connected:
            raise ClipperException("The connection is closed: call start_clipper() or connect().")
        self.history.add(time.monotonic(), self._read_counts(conn.cm))
        records = conn.records("dashboard()")
        connected = records.get_replicas()
        if time.monotonic() >= self._next_container_look_s or len(connected) != self._num_connected:
            # Fewer replicas are no fault when fewer are wanted, so both numbers are of the same moment.
            self._containers = conn.cm.observe_replicas()
            self._next_container_look_s = time.monotonic() + _CONTAINERS_EVERY_S
            self._num_connected = len(connected)
        return make_cluster_state(
            conn.cm.cluster_name,
            conn.cm.get_query_url(),
            seen_at=now,
            applications=records.get_applications(),
            models=records.get_models(),
            connected=connected,
            containers=self._containers,
            history=self.history,
            roll_outs=_read_roll_outs(records),
        )

    def _read_counts(self, manager: ContainerManager) -> Counts:
        key = (manager.get_query_url(), manager.get_query_token(), manager.get_trust())
        if self._frontend is None or self._frontend_key != key:
            url, token, trust = key
            self._frontend, self._frontend_key = FrontendClient.at(url, "query frontend", token, trust), key
        return parse_counts(self._frontend.metrics(timeout_s=_METRICS_TIMEOUT_S))

    def _run(self) -> None:
        while True:
            if self._is_seen() and time.monotonic() >= self._next_look_s:
                self._next_look_s = time.monotonic() + INTERVAL_S
                self.poll()
                for watcher in list(self._watchers):
                    self._paint(lambda watcher=watcher: watcher(self))  # type: ignore[misc]
            try:
                self._paint(self._calls.get(timeout=self._pause_s()))
                while True:  # a slider calls often, and each poll may take a while
                    self._paint(self._calls.get_nowait())
            except queue.Empty:
                pass
            with self._lock:
                if not self._watchers:
                    self._thread = None
                    return

    def _pause_s(self) -> float:
        return max(self._next_look_s - time.monotonic(), 0.001) if self._is_seen() else INTERVAL_S

    def _is_seen(self) -> bool:
        # While a cell runs, the kernel receives no messages, so no page can report that it is visible.
        return time.monotonic() < self._is_seen_until_s or self._running_cell.is_running

    def _paint(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:  # the next poll paints again
            logger.warning("a panel cannot be painted", exc_info=True)


def _read_roll_outs(records: Records) -> Sequence[RollOutInfo]:
    try:
        return records.get_roll_outs()
    except NotFoundError:  # the cluster runs a release that has none
        return ()


_pollers: weakref.WeakKeyDictionary[PanelCalls, Poller] = weakref.WeakKeyDictionary()
_pollers_lock = threading.Lock()


def poller_of(conn: PanelCalls) -> Poller:
    """Return the poller that all panels of a connection share."""
    with _pollers_lock:
        if conn not in _pollers:
            _pollers[conn] = Poller(conn)
        return _pollers[conn]
