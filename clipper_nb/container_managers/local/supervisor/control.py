"""How a notebook talks to the supervisor: one JSON object per line over a Unix socket, one reply per request."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from msgspec import UNSET

from clipper_nb.errors import ClusterUnreachableError
from clipper_nb.protocol.containers import (
    Command,
    ObservedContainer,
    Reply,
    decode_command,
    decode_reply,
    encode_command,
    encode_reply,
)

logger = logging.getLogger(__name__)

_LONGEST_LINE_BYTES = 64 * 1024 * 1024

CarryOut = Callable[[Command], Awaitable[Sequence[ObservedContainer] | None]]
"""Executes a command; returns what was observed, or ``None``."""


class SupervisorClient:
    """Sends commands to a supervisor.

    Parameters
    ----------
    socket_path : Path
        Its control socket.
    """

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = socket_path

    def call(self, command: Command, *, timeout_s: float = 10.0) -> Sequence[ObservedContainer]:
        """Have the supervisor execute one command; return what it observed, if the command asks for that.

        Raises
        ------
        ClusterUnreachableError
            No supervisor listens, or no reply came within *timeout_s*.
        """
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(timeout_s)
                connection.connect(str(self._socket_path))
                connection.sendall(encode_command(command))
                with connection.makefile("rb") as lines:
                    line = lines.readline()
            reply = decode_reply(line)
        except TimeoutError as exc:
            raise ClusterUnreachableError(
                f"The cluster's supervisor has not answered '{command.name}' within {timeout_s:g} s."
            ) from exc
        except (OSError, ValueError) as exc:
            raise ClusterUnreachableError(
                f"The cluster's supervisor cannot be reached: {exc or 'it closed the connection'}."
            ) from exc
        if reply.error is not UNSET:
            raise ClusterUnreachableError(f"The cluster's supervisor failed on '{command.name}': {reply.error}")
        return reply.result or ()


async def listen(socket_path: Path, carry_out: CarryOut) -> asyncio.Server:
    """Answer commands on a new Unix socket."""

    async def on_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
            if line:
                writer.write(encode_reply(await _answer(line, carry_out)))
                await writer.drain()
        except (OSError, ValueError) as exc:
            logger.warning("a control connection ended: %s", exc)
        finally:
            writer.close()

    return await asyncio.start_unix_server(on_connection, path=str(socket_path), limit=_LONGEST_LINE_BYTES)


async def _answer(line: bytes, carry_out: CarryOut) -> Reply:
    try:
        observed = await carry_out(decode_command(line))
        return Reply(None if observed is None else tuple(observed))
    except Exception as exc:
        logger.exception("a command failed")
        return Reply(error=f"{type(exc).__name__}: {exc}")
