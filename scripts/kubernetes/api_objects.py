"""Follows objects of the test cluster's API server, with nothing but the standard library."""

from __future__ import annotations

import base64
import http.client
import json
import re
import ssl
import threading
import time
import traceback
from pathlib import Path

RELIST_AFTER_S = 0.5
WATCH_TIMEOUT_S = 300

Key = tuple[str, str]


class Cluster:
    """Objects as the API server has them, listed and then watched by one thread for each kind.

    Parameters
    ----------
    kubeconfig : str
        A file that scripts/kubernetes/identities wrote.
    paths : dict of str to str
        Where the objects of each kind are, such as ``{"pods": "/api/v1/pods"}``.
    """

    def __init__(self, kubeconfig: str, paths: dict[str, str]) -> None:
        text = Path(kubeconfig).read_text()
        self._address, authority, self._token = (
            re.search(pattern, text)[1]
            for pattern in (r"https://([\d.:]+)", r"certificate-authority-data: (\S+)}", r"token: (\S+)}")
        )
        self._tls = ssl.create_default_context(cadata=base64.b64decode(authority).decode())
        self._paths = paths
        self._objects: dict[str, dict[Key, dict]] = {}
        self.changed = threading.Event()

    def get(self, kind: str) -> dict[Key, dict]:
        """Return the objects of a kind by namespace and name; none before they were listed."""
        return self._objects.get(kind, {})

    def is_listed(self) -> bool:
        """Return whether every kind was listed."""
        return set(self._objects) == set(self._paths)

    def follow(self) -> None:
        """Start the threads."""
        for kind in self._paths:
            threading.Thread(target=self._follow, args=(kind,), daemon=True).start()

    def _follow(self, kind: str) -> None:
        while True:
            try:
                self._list_and_watch(kind)
            except (OSError, http.client.HTTPException, ValueError):
                traceback.print_exc()
            time.sleep(RELIST_AFTER_S)

    def _list_and_watch(self, kind: str) -> None:
        listed = json.load(self._request(self._paths[kind]))
        objects = {_key(item): item for item in listed["items"]}
        self._show(kind, objects)
        version = listed["metadata"]["resourceVersion"]
        for line in self._request(
            f"{self._paths[kind]}?watch=1&resourceVersion={version}&timeoutSeconds={WATCH_TIMEOUT_S}"
        ):
            event = json.loads(line)
            if event["type"] == "ERROR":
                return
            changed = dict(objects)  # others may walk over the one that they have
            if event["type"] == "DELETED":
                changed.pop(_key(event["object"]), None)
            else:
                changed[_key(event["object"])] = event["object"]
            objects = changed
            self._show(kind, objects)

    def _show(self, kind: str, objects: dict[Key, dict]) -> None:
        self._objects[kind] = objects
        self.changed.set()

    def _request(self, path: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection(self._address, context=self._tls, timeout=WATCH_TIMEOUT_S + 30)
        connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
        reply = connection.getresponse()
        if reply.status != 200:
            raise OSError(f"the API server answered {reply.status} to {path}: {reply.read(500)!r}")
        return reply


def _key(item: dict) -> Key:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]
