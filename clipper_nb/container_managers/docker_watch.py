"""Brings back containers that were killed or stopped by hand, as long as this process lives.

What crashes is started again by the engine, whoever lives. But the engine takes ``docker kill`` and ``docker stop`` for
the user's wish and lets the container lie. Whoever wants less calls ``set_num_replicas`` or ``stop_all``, which take
the restart policy away first.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import Any

from clipper_nb.container_managers.docker_containers import DockerContainers
from clipper_nb.errors import ClipperException
from clipper_nb.images.docker_engine import DockerEngine, translated
from clipper_nb.protocol import environment

logger = logging.getLogger(__name__)

_SETTLE_S = 0.2
"""The engine's own restart comes first, and whoever stops a container removes it meanwhile."""
_RETRY_INTERVAL_S = 1.0


class DockerWatch:
    """Follows the engine's events in a thread of its own.

    Parameters
    ----------
    engine : DockerEngine
    containers : DockerContainers
    cluster : str
    """

    def __init__(self, engine: DockerEngine, containers: DockerContainers, cluster: str) -> None:
        self._engine = engine
        self._containers = containers
        self._cluster = cluster
        self._stopping = threading.Event()
        self._stream: Any = None
        self._thread = threading.Thread(target=self._run, name=f"clipper_nb watch {cluster}", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._close_stream()
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except ClipperException as exc:  # the engine is away; when it is back, so may be the containers
                logger.debug("%s", exc)
            except Exception:
                if not self._stopping.is_set():
                    logger.debug("the watch of cluster '%s' broke off", self._cluster, exc_info=True)
            self._stopping.wait(_RETRY_INTERVAL_S)

    def _follow(self) -> None:
        with translated("following its events"):
            stream = self._stream = self._engine.stream_client.events(
                decode=True,
                filters={"event": "die", "label": f"{environment.LABEL_CLUSTER}={self._cluster}"},
            )
            try:
                self._restart_what_ends(stream)
            finally:
                self._close_stream()
                stream._response.close()  # it has the socket, which docker's own close() only shuts down

    def _restart_what_ends(self, stream: Any) -> None:
        if self._stopping.is_set():
            return
        self._restart_ended()  # what ended while nobody watched
        for _ in stream:
            if self._stopping.wait(_SETTLE_S):
                return
            if not self._restart_ended():
                self._stopping.set()  # somebody stopped the whole cluster, from another notebook perhaps
                return

    def _restart_ended(self) -> bool:
        # An engine that shuts down ends all containers, and would start them again when told so.
        self._engine.check_that_it_stays()
        return self._containers.restart_ended()

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, None  # what keeps it keeps its socket open
        if stream is not None:
            with contextlib.suppress(Exception):  # it may end by itself in this moment
                stream.close()
