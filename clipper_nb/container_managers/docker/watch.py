"""Brings back containers that were killed, stopped or removed by hand, as long as this process lives.

The engine restarts containers that crash, with or without a notebook. But it treats ``docker kill``,
``docker stop`` and ``docker rm -f`` as intentional, and gives up on a container whose published port somebody else has
taken. To run fewer, call ``set_num_replicas`` or ``stop_all``, which
remove the restart policy first.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from typing import Any

from clipper_nb.container_managers.docker.again import Attributes, SeenContainers, should_run
from clipper_nb.container_managers.docker.containers import DockerContainers, is_in_pod
from clipper_nb.container_managers.docker.networks import has_volume
from clipper_nb.container_managers.docker.redis import volume_name
from clipper_nb.container_managers.docker.retries import Retries
from clipper_nb.container_managers.docker.secret_files import CoreFiles, FindVariables, secret_files_again
from clipper_nb.errors import ClipperException
from clipper_nb.images.docker_engine import DockerEngine, translated
from clipper_nb.protocol import environment

logger = logging.getLogger(__name__)

_SETTLE_S = 0.2
"""Time for the engine's own restart, and for a caller that stops a container to remove it."""
_RETRY_INTERVAL_S = 1.0


class DockerWatch:
    """Follows the engine's events in its own thread.

    Parameters
    ----------
    engine : DockerEngine
    containers : DockerContainers
    cluster : str
    core_files : mapping
    find_variables : callable
        Raises ``ClipperException`` while they cannot be had; the container is tried again.
    """

    def __init__(
        self,
        engine: DockerEngine,
        containers: DockerContainers,
        cluster: str,
        core_files: CoreFiles,
        find_variables: FindVariables,
    ) -> None:
        self._core_files = core_files
        self._find_variables = find_variables
        self._engine = engine
        self._containers = containers
        self._cluster = cluster
        self._seen = SeenContainers()
        self._stopping = threading.Event()
        self._stream: Any = None
        self._retries = Retries(f"clipper_nb retries {cluster}", self._stopping, _RETRY_INTERVAL_S)
        self._thread = threading.Thread(target=self._run, name=f"clipper_nb watch {cluster}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def let_end(self) -> None:
        """Let the thread end."""
        self._stopping.set()
        self._close_stream()

    def join(self) -> None:
        """Wait until it has ended, or for some seconds."""
        self._thread.join(timeout=5.0)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except ClipperException as exc:  # the engine is down; the containers may come back with it
                logger.debug("%s", exc)
            except Exception:
                if not self._stopping.is_set():
                    logger.debug("the watch of cluster '%s' was interrupted", self._cluster, exc_info=True)
            self._stopping.wait(_RETRY_INTERVAL_S)

    def _follow(self) -> None:
        with translated("following its events"):
            stream = self._stream = self._engine.stream_client.events(
                decode=True,
                filters={
                    "event": ["start", "update", "die", "destroy"],
                    "label": f"{environment.LABEL_CLUSTER}={self._cluster}",
                },
            )
            try:
                self._mend_what_ends(stream)
            finally:
                self._close_stream()
                stream._response.close()  # closes the socket, which docker's own close() only shuts down

    def _mend_what_ends(self, stream: Any) -> None:
        if self._stopping.is_set():
            return
        self._seen.see_all(container.attrs for container in self._restart_ended())  # what ended while no watcher ran
        for event in stream:
            if self._stopping.is_set():
                return
            if not is_in_pod(event["Actor"]["Attributes"]):
                self._mend(event["Action"], event["Actor"]["ID"])

    def _mend(self, action: str, container_id: str) -> None:
        if action in ("start", "update"):
            self._seen.see(container_id, self._containers.inspect(container_id))
        elif action == "destroy":
            removed = self._seen.take_removed(container_id)
            if removed is not None:
                self._make_again(removed)
        elif not self._stopping.wait(_SETTLE_S) and not self._restart_ended():
            self._stopping.set()  # the whole cluster was stopped, perhaps from another notebook

    def _restart_ended(self) -> list[Any]:
        # An engine that shuts down ends all containers, and would still obey a request to start them again.
        self._engine.check_that_it_stays()
        containers = self._containers.restart_ended()
        if any(map(_is_down, containers)):
            self._retries.until_it_succeeds("what has ended", self._all_run)
        return containers

    def _all_run(self) -> bool:
        """Return whether all run that should; start what does not. Nothing says when a busy port is free again."""
        try:
            if self._containers.are_up():
                return True
            self._engine.check_that_it_stays()
            return not any(map(_is_down, self._containers.restart_ended()))
        except ClipperException as exc:
            logger.debug("%s", exc)
            return False

    def _make_again(self, removed: Attributes) -> None:
        name = removed["Name"].lstrip("/")
        problem = self._try_to_make_again(removed)
        if problem is not None:
            logger.warning("%s was removed, and cannot be created again yet: %s", name, problem)
            self._retries.until_it_succeeds(name, lambda: self._try_to_make_again(removed) is None)

    def _try_to_make_again(self, removed: Attributes) -> ClipperException | None:
        """Return what prevents it, if anything does: the container's port may be somebody else's for a while."""
        try:
            if has_volume(self._engine, volume_name(self._cluster)):  # else the cluster was stopped: it holds its name
                secret_files = secret_files_again(removed["Config"], self._core_files, self._find_variables)
                self._containers.make_again(removed, secret_files)
        except ClipperException as exc:
            return exc
        return None

    def _close_stream(self) -> None:
        stream, self._stream = self._stream, None  # a reference to the stream would keep its socket open
        if stream is not None:
            with contextlib.suppress(Exception):  # it may be ending by itself
                stream.close()


def _is_down(container: Any) -> bool:
    """Return whether a container that should run did not when it was inspected.

    One that the engine starts again by itself counts: it gives up if it cannot, and tells nobody.
    """
    return container.status in ("exited", "restarting") and should_run(container.attrs)
