"""Addresses that pods have before the API server knows: the network plugin ``await-policies`` reports them."""

from __future__ import annotations

import contextlib
import json
import os
import socketserver
import threading
from typing import NamedTuple

from api_objects import Cluster, Key

ENFORCED_WITHIN_S = 8.0


class Reported(NamedTuple):
    """The address of a pod, and its node."""

    address: str
    node: str


class PodAddresses:
    """What plugins reported. They are answered when :meth:`mark_enforced` was called for their pod.

    Parameters
    ----------
    cluster : Cluster
        Its event is set for each report.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._reported: dict[Key, Reported] = {}
        self._enforced: dict[Key, Reported] = {}
        self._condition = threading.Condition()

    def serve(self, path: str) -> socketserver.BaseServer:
        """Listen at a Unix socket, in a thread, and return the server."""
        if os.path.exists(path):
            os.remove(path)
        server = socketserver.ThreadingUnixStreamServer(path, _make_handler(self))
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def report(self, key: Key, reported: Reported) -> bool:
        """Return whether policies were enforced for the pod in time."""
        with self._condition:
            self._reported[key] = reported
            self._cluster.changed.set()
            return self._condition.wait_for(lambda: self._enforced.get(key) == reported, ENFORCED_WITHIN_S)

    def read(self) -> dict[Key, Reported]:
        """Return the addresses of pods that are there, on the node that has them."""
        pods = self._cluster.get("pods")
        with self._condition:
            return {
                key: reported
                for key, reported in self._reported.items()
                if key in pods and pods[key]["spec"].get("nodeName") == reported.node
            }

    def mark_enforced(self, addresses: dict[Key, Reported]) -> None:
        """Let those plugins go on whose pods are in *addresses*, and forget pods that are gone."""
        pods = self._cluster.get("pods")
        with self._condition:
            for key in [key for key in self._enforced if key not in pods]:
                del self._enforced[key]
                self._reported.pop(key, None)
            self._enforced.update(addresses)
            self._condition.notify_all()


def _make_handler(addresses: PodAddresses) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        timeout = 10

        def handle(self) -> None:
            message = json.loads(self.rfile.readline())
            reported = Reported(message["address"], message["node"])
            if addresses.report((message["namespace"], message["name"]), reported):
                with contextlib.suppress(OSError):  # a plugin of another node does not wait as long
                    self.wfile.write(b"enforced\n")

    return Handler
