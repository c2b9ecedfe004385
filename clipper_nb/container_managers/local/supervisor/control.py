"""How a notebook talks to the supervisor: one JSON object per line over a Unix socket, one reply per request."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from clipper_nb.errors import ClusterUnreachableError

logger = logging.getLogger(__name__)

_LONGEST_LINE_BYTES = 64 * 1024 * 1024

Command = Callable[[dict[str, Any]], Awaitable[Any]]


class SupervisorClient:
    """Sends commands to a supervisor.

    Parameters
    ----------
    socket_path : Path
        Its control socket.
    """

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path

    def call(self, command: str, *, timeout_s: float = 10.0, **arguments: Any) -> Any:
        """Return the supervisor's reply to one command.

        Raises
        ------
        ClusterUnreachableError
            Nobody listens, or no reply came within *timeout_s*.
        """
        request = json.dumps({"command": command, **arguments}).encode() + b"\n"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(timeout_s)
                connection.connect(str(self._socket_path))
                connection.sendall(request)
                with connection.makefile("rb") as lines:
                    line = lines.readline()
            reply = json.loads(line)
        except TimeoutError as exc:
            raise ClusterUnreachableError(
                f"The cluster's supervisor has not answered '{command}' within {timeout_s:g} s."
            ) from exc
        except (OSError, ValueError) as exc:
            raise ClusterUnreachableError(f"The cluster's supervisor is out of reach: {exc or 'it hung up'}.") from exc
        if "error" in reply:
            raise ClusterUnreachableError(f"The cluster's supervisor failed on '{command}': {reply['error']}")
        return reply["result"]


async def listen(socket_path: Path, commands: dict[str, Command]) -> asyncio.Server:
    """Answer *commands* on a new Unix socket."""

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line:
                writer.write(json.dumps(await _answer(line, commands)).encode() + b"\n")
                await writer.drain()
        except (OSError, ValueError) as exc:
            logger.warning("a control connection ended: %s", exc)
        finally:
            writer.close()

    return await asyncio.start_unix_server(on_connection, path=str(socket_path), limit=_LONGEST_LINE_BYTES)


async def _answer(line: bytes, commands: dict[str, Command]) -> dict[str, Any]:
    try:
        request = json.loads(line)
        return {"result": await commands[request.pop("command")](request)}
    except Exception as exc:
        logger.exception("a command failed")
        return {"error": f"{type(exc).__name__}: {exc}"}
