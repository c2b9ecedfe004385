"""Sends the requests of ``AsyncClient`` with aiohttp; its failures become errors of this package."""

from __future__ import annotations

import asyncio
import ssl
import time

import aiohttp

from clipper_nb.client.calls import WHAT
from clipper_nb.clients.query_steps import Reply, Request
from clipper_nb.clients.trust import Trust
from clipper_nb.clients.unreachable import Unreachable
from clipper_nb.errors import InvalidRequestError

_MAX_CONNECTIONS = 256
_CONNECT_RETRIES_AFTER_S = (0.1, 0.2, 0.4)
"""A frontend that restarts refuses connections for less than a second."""

_TLS_END_S = 0.25
"""How long TLS may take to end the connection to a server that is not the one meant: aiohttp does not wait for that."""
_BROKEN = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError)


class AsyncHttp:
    """Keeps connections to one query frontend, for one event loop.

    Parameters
    ----------
    base_url : str
    token : str or None
        The bearer token of every request.
    trust : Trust or None
        How the frontend proves itself over TLS; ``None`` leaves that to the authorities that the system trusts.
    """

    def __init__(self, base_url: str, token: str | None, trust: Trust | None) -> None:
        self._base_url = base_url
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._proof = _proof(trust)
        self._unreachable = Unreachable(WHAT, base_url)
        self._session: aiohttp.ClientSession | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def send(self, request: Request) -> Reply:
        """Return the reply; a request whose connection breaks is sent once more.

        Raises
        ------
        ClusterUnreachableError
            No connection, or no complete reply in the request's time.
        """
        try:
            return await self._send_twice(request, time.monotonic() + request.timeout_s)
        except asyncio.TimeoutError as exc:
            raise self._unreachable.too_late(request.method, request.path, request.timeout_s) from exc
        except aiohttp.ClientError as exc:  # no HTTP, or no address
            raise self._unreachable.no_connection(exc) from exc

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _send_twice(self, request: Request, deadline_s: float) -> Reply:
        try:
            return await self._connect_and_send(request, deadline_s)
        except _BROKEN:
            pass  # the frontend ended, or had closed a connection that was kept
        try:
            return await self._connect_and_send(request, deadline_s)
        except _BROKEN as exc:
            raise self._unreachable.broken(request.method, request.path) from exc

    async def _connect_and_send(self, request: Request, deadline_s: float) -> Reply:
        for pause_s in (*_CONNECT_RETRIES_AFTER_S, None):
            try:
                return await self._send(request, deadline_s)
            except aiohttp.ServerFingerprintMismatch as exc:
                await asyncio.sleep(_TLS_END_S)
                raise self._unreachable.no_proof(exc) from exc
            except aiohttp.ClientSSLError as exc:
                raise self._unreachable.no_proof(exc) from exc
            except aiohttp.ClientConnectorError as exc:
                if pause_s is None or time.monotonic() + pause_s >= deadline_s:
                    raise self._unreachable.no_connection(exc) from exc
            await asyncio.sleep(pause_s)
        raise AssertionError("the last try returns or raises")

    async def _send(self, request: Request, deadline_s: float) -> Reply:
        left_s = deadline_s - time.monotonic()
        if left_s <= 0:  # which aiohttp takes for no limit
            raise asyncio.TimeoutError
        started_s = time.perf_counter()
        async with self._open_session().request(
            request.method,
            self._base_url + request.path,
            data=request.body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=left_s, sock_connect=None),
        ) as reply:
            body = await reply.read()
        return Reply(reply.status, body, time.perf_counter() - started_s)

    def _open_session(self) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._session is None:
            self._loop = loop
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_MAX_CONNECTIONS, ssl=self._proof),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=self._headers,
            )
        elif self._loop is not loop:
            raise InvalidRequestError("This AsyncClient is in use by another event loop. Make one for each loop.")
        return self._session


def _proof(trust: Trust | None) -> ssl.SSLContext | aiohttp.Fingerprint | bool:
    """Return what aiohttp verifies a certificate with."""
    if trust is None:
        return True
    if trust.authority:
        return ssl.create_default_context(cadata=trust.authority)
    return aiohttp.Fingerprint(bytes.fromhex(trust.fingerprint))
