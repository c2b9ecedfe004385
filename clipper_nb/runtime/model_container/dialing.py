"""Connects to a query frontend, beside the predictions: one whose machine is gone does not even refuse."""

from __future__ import annotations

import contextlib
import socket
import threading

_CONNECT_TIMEOUT_S = 2.0


def connect_to(address: str) -> socket.socket:
    """Return a socket that is connected to ``host:port``, or to the path of a Unix socket; may raise ``OSError``."""
    if not address.startswith("/"):
        host, _, port = address.rpartition(":")
        connected = socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_TIMEOUT_S)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(_CONNECT_TIMEOUT_S)
        connected.connect(address)
    except OSError:
        connected.close()
        raise
    return connected


class Dialing:
    """One attempt, in a thread of its own.

    Parameters
    ----------
    address : str
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = threading.Lock()
        self._found: socket.socket | None = None
        self._is_over = False
        self._is_given_up = False
        threading.Thread(target=self._run, name="dialing", daemon=True).start()

    def is_over(self) -> bool:
        """Return whether the attempt has succeeded or failed."""
        return self._is_over

    def take(self) -> socket.socket:
        """Return the socket of an attempt that is over; raises ``OSError`` if it failed."""
        found, self._found = self._found, None
        if found is None:
            raise ConnectionRefusedError(self._address)
        return found

    def give_up(self) -> None:
        """Close the socket, also one that comes later."""
        with self._lock:
            self._is_given_up = True
            if self._found is not None:
                self._found.close()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            found = connect_to(self._address)
            with self._lock:
                if self._is_given_up:
                    found.close()
                else:
                    self._found = found
        self._is_over = True
