"""How a notebook talks to the supervisor: one JSON object per line over a Unix socket, one reply per request."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
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
_RESTART_TIMEOUT_S = 3.0
_RETRY_INTERVAL_S = 0.02

_ENDING = "the cluster is ending"

CarryOut = Callable[[Command], Awaitable[Sequence[ObservedContainer] | None]]
"""Executes a command; returns what was observed, or ``None``."""


class ClusterEndingError(ClusterUnreachableError):
    """The supervisor ends the cluster; it carries out nothing but stops."""

    def __init__(self) -> None:
        super().__init__(f"The cluster's supervisor does nothing more: {_ENDING}.")


class SupervisorClient:
    """Sends commands to a supervisor.

    Parameters
    ----------
    socket_path : Path
        Its control socket.
    is_guarded : callable
        Returns whether a supervisor that was killed is started again. Then what it has not answered is sent again:
        each command may be carried out twice.
    """

    def __init__(self, socket_path: Path, is_guarded: Callable[[], bool] = lambda: False) -> None:
        self._socket_path = socket_path
        self._is_guarded = is_guarded

    def call(self, command: Command, *, timeout_s: float = 10.0) -> Sequence[ObservedContainer]:
        """Have the supervisor execute one command; return what it observed, if the command asks for that.

        Raises
        ------
        ClusterUnreachableError
            No supervisor listens, or no reply came within *timeout_s*.
        ClusterEndingError
            It ends the cluster.
        """
        try:
            reply = self._ask_until_answered(command, timeout_s)
        except TimeoutError as exc:
            raise ClusterUnreachableError(
                f"The cluster's supervisor has not answered '{command.name}' within {timeout_s:g} s."
            ) from exc
        except (OSError, ValueError) as exc:
            raise ClusterUnreachableError(
                f"The cluster's supervisor cannot be reached: {exc or 'it closed the connection'}."
            ) from exc
        if reply.error == _ENDING:
            raise ClusterEndingError
        if reply.error is not UNSET:
            raise ClusterUnreachableError(f"The cluster's supervisor failed on '{command.name}': {reply.error}")
        return reply.result or ()

    def _ask_until_answered(self, command: Command, timeout_s: float) -> Reply:
        deadline_s = time.monotonic() + _RESTART_TIMEOUT_S
        while True:
            try:
                return self._ask(command, timeout_s)
            except TimeoutError:
                raise
            except (OSError, ValueError):  # it was killed, or is not there yet
                if time.monotonic() > deadline_s or not self._is_guarded():
                    raise
            time.sleep(_RETRY_INTERVAL_S)

    def _ask(self, command: Command, timeout_s: float) -> Reply:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(self._socket_path))
            connection.sendall(encode_command(command))
            with connection.makefile("rb") as lines:
                return decode_reply(lines.readline())


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
    except ClusterEndingError:
        return Reply(error=_ENDING)
    except Exception as exc:
        logger.exception("a command failed")
        return Reply(error=f"{type(exc).__name__}: {exc}")
