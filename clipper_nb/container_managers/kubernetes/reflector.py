"""Keeps a copy of what the API server has, in one thread: list, watch, and list again when the watch is lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from clipper_nb.container_managers.kubernetes.api import KubernetesApi
from clipper_nb.container_managers.kubernetes.pods import Manifest
from clipper_nb.errors import ClipperException

logger = logging.getLogger(__name__)

_PAUSE_S = 1.0
"""After a failure."""


class Reflector:
    """A copy of the objects of one kind with certain labels.

    Parameters
    ----------
    api : KubernetesApi
    kind : str
    labels : mapping
    """

    def __init__(self, api: KubernetesApi, kind: str, labels: Mapping[str, str]) -> None:
        self._api = api
        self._kind = kind
        self._labels = dict(labels)
        self._objects: dict[str, Manifest] = {}
        self._is_in_sync = False
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"clipper_nb watch of {kind}s", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Let the thread end."""
        self._stopping.set()
        self._api.end_watches()

    def objects(self) -> list[Manifest]:
        """Return the objects as they are known; while the watch is lost, as the server has them now."""
        with self._changed:
            if self._is_in_sync:
                return list(self._objects.values())
        return self._api.find(self._kind, self._labels)

    def wait_until(self, is_true: Callable[[list[Manifest]], bool], timeout_s: float) -> bool:
        """Return whether the objects become so within *timeout_s*; looks at each change, and sometimes besides."""
        deadline_s = time.monotonic() + timeout_s
        while not is_true(self.objects()):
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                return False
            with self._changed:
                self._changed.wait(min(left_s, _PAUSE_S))
        return True

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow(self._list())
            except ClipperException as exc:
                logger.debug("%s", exc)
                self._lose()
            except Exception:
                if self._stopping.is_set():
                    return
                logger.exception("the watch of %ss failed", self._kind)
                self._lose()

    def _lose(self) -> None:
        with self._changed:
            self._is_in_sync = False
        self._stopping.wait(_PAUSE_S)

    def _list(self) -> str:
        found, version = self._api.find_at(self._kind, self._labels)
        with self._changed:
            self._objects = {each["metadata"]["uid"]: each for each in found}
            self._is_in_sync = True
            self._changed.notify_all()
        return version

    def _follow(self, version: str) -> None:
        """Apply changes since *version* until the server has forgotten it."""
        while not self._stopping.is_set():
            for change, each in self._api.watch(self._kind, self._labels, version, is_over=self._stopping.is_set):
                if change == "ERROR":  # the version is too old
                    return
                if self._stopping.is_set():
                    return
                version = each["metadata"]["resourceVersion"]
                self._apply(change, each)

    def _apply(self, change: str, each: Manifest) -> None:
        with self._changed:
            if change == "DELETED":
                self._objects.pop(each["metadata"]["uid"], None)
            elif change != "BOOKMARK":
                self._objects[each["metadata"]["uid"]] = each
            self._changed.notify_all()
