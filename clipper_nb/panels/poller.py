"""Looks at a cluster once a second for all panels that show it, as long as somebody sees one of them."""

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
from clipper_nb.errors import ClipperException
from clipper_nb.panels.changes import Event, find_events
from clipper_nb.panels.cluster_state import ClusterState, make_cluster_state
from clipper_nb.panels.counts import Counts, parse_counts
from clipper_nb.panels.history import History
from clipper_nb.panels.running_cell import RunningCell

if TYPE_CHECKING:
    from clipper_nb.cluster.ports import PanelCalls
    from clipper_nb.protocol.containers import ObservedContainer

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
_SEEN_LASTS_S = 12.0
"""A panel that is on a visible page says so every five seconds."""
_CONTAINERS_EVERY_S = 3.0
"""Docker takes longer to tell of its containers than all others together."""
_METRICS_TIMEOUT_S = 5.0
_MAX_EVENTS = 200

Watcher = Callable[["Poller"], None]


class Poller:
    """What a cluster looks like and has looked like; tells its watchers after each look.

    It has one thread, and everything that changes a widget runs in that one, since widgets are not made for several:
    :meth:`call_soon` lets others have it done there. The thread ends with the last watcher.

    Parameters
    ----------
    conn : PanelCalls
    seen_lasts_s : float
        How long it looks after somebody was last known to see a panel.

    Attributes
    ----------
    state : ClusterState
        As of the last look.
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
        self._frontend: FrontendClient | None = None
        self._frontend_address = ""

    def watch(self, watcher: Watcher) -> None:
        """Call *watcher* after each look, until :meth:`unwatch`."""
        self.seen()
        with self._lock:
            self._watchers.append(watcher)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="clipper-panels", daemon=True)
                self._thread.start()

    def unwatch(self, watcher: Watcher) -> None:
        """Call it no more."""
        with self._lock:
            if watcher in self._watchers:
                self._watchers.remove(watcher)
        self.call_soon(lambda: None)

    def seen(self) -> None:
        """Take note that somebody has a panel before their eyes."""
        was_seen = self._is_seen()
        self._is_seen_until_s = time.monotonic() + self._seen_lasts_s
        if not was_seen:
            self.poll_soon()

    def poll_soon(self) -> None:
        """Look now, and not when the second is over: something was changed."""
        self._next_look_s = self._next_container_look_s = 0.0
        self.call_soon(lambda: None)

    def call_soon(self, call: Callable[[], None]) -> None:
        """Have *call* run in the thread that changes widgets."""
        self._calls.put(call)

    def poll(self) -> None:
        """Look at the cluster once."""
        now = time.time()
        try:
            state = self._observe(now)
        except ClipperException as exc:
            state = replace(self.state, problem=str(exc))
        except Exception as exc:  # what is shown must not end who shows it
            logger.debug("the cluster cannot be looked at", exc_info=True)
            state = replace(self.state, problem=f"{type(exc).__name__}: {exc}")
        self.events.extend(find_events(self.state, state, now))
        self.state = state
        self.num_polls += 1

    def _observe(self, now: float) -> ClusterState:
        conn = self._conn()
        if conn is None or not conn.connected:
            raise ClipperException("The connection is closed: call start_clipper() or connect().")
        if time.monotonic() >= self._next_container_look_s:
            self._containers = conn.cm.observe_replicas()
            self._next_container_look_s = time.monotonic() + _CONTAINERS_EVERY_S
        self.history.add(time.monotonic(), self._read_counts(conn.get_metric_addr()))
        records = conn.records("dashboard()")
        return make_cluster_state(
            conn.cm.cluster_name,
            conn.get_query_addr(),
            seen_at=now,
            applications=records.get_applications(),
            models=records.get_models(),
            connected=records.get_replicas(),
            containers=self._containers,
            history=self.history,
        )

    def _read_counts(self, address: str) -> Counts:
        if self._frontend is None or self._frontend_address != address:
            self._frontend, self._frontend_address = FrontendClient.at(address, "query frontend"), address
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
            except queue.Empty:
                pass
            with self._lock:
                if not self._watchers:
                    self._thread = None
                    return

    def _pause_s(self) -> float:
        return max(self._next_look_s - time.monotonic(), 0.001) if self._is_seen() else INTERVAL_S

    def _is_seen(self) -> bool:
        # While a cell runs the kernel hears from no page, so nobody can say that they look.
        return time.monotonic() < self._is_seen_until_s or self._running_cell.is_running

    def _paint(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception:  # the next look paints again
            logger.warning("a panel cannot be painted", exc_info=True)


_pollers: weakref.WeakKeyDictionary[PanelCalls, Poller] = weakref.WeakKeyDictionary()
_pollers_lock = threading.Lock()


def poller_of(conn: PanelCalls) -> Poller:
    """Return the poller that all panels of a connection share."""
    with _pollers_lock:
        if conn not in _pollers:
            _pollers[conn] = Poller(conn)
        return _pollers[conn]
