"""HTTP over a Unix socket: who cannot enter its folder can neither call it nor pretend to be the server."""

from __future__ import annotations

import socket
from functools import partial
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.exceptions import NewConnectionError

PREFIX = "unix:"
"""Before the path, in an address."""


class _UnixConnection(HTTPConnection):
    """A connection to the Unix socket at *socket_path*, whatever the URL's host is."""

    def __init__(self, *arguments: Any, socket_path: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._socket_path = socket_path

    def _new_conn(self) -> socket.socket:
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connected.settimeout(self.timeout)
            connected.connect(self._socket_path)
        except OSError as exc:
            connected.close()
            raise NewConnectionError(self, f"Failed to connect to {self._socket_path}: {exc}") from exc
        return connected


class _UnixPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _UnixConnection

    def __init__(self, *arguments: Any, socket_path: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.conn_kw = {"socket_path": socket_path}  # urllib3's own options are for TCP


def use_unix_socket(manager: urllib3.PoolManager, path: str) -> None:
    """Have all connections of *manager* lead to the Unix socket at *path*."""
    make_pool: Any = partial(_UnixPool, socket_path=path)  # urllib3 only calls it, and declares a class
    manager.pool_classes_by_scheme = {"http": make_pool}
