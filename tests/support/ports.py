"""Ports for tests that need one again, or later: nobody else is given it meanwhile."""

from __future__ import annotations

import contextlib
import secrets
import socket

_LOWEST, _HIGHEST = 15_000, 32_000
"""Below those that Linux gives to whoever asks for any free port, or connects."""


def quiet_port() -> int:
    """Return a port of loopback that is free now, and that no program has unless it asks for this very one.

    One that the system gave and that was closed again may be given to another test in the moment until it is needed.
    """
    while True:
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
