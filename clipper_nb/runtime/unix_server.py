"""Serves a Unix socket that was handed down; its file stays, since whoever created it hands it to the next process."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from typing import Any

_KEEP_FILE: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}


async def serve_unix(
    loop: asyncio.AbstractEventLoop, make_protocol: Callable[[], asyncio.BaseProtocol], listening: socket.socket
) -> asyncio.Server:
    """Accept connections on a listening Unix socket."""
    return await loop.create_unix_server(make_protocol, sock=listening, backlog=1024, **_KEEP_FILE)
