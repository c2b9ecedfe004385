"""Sends HTTP requests with a deadline; network failures become errors of this package."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Mapping
from typing import Protocol

import urllib3

from clipper_nb.clients.trust import Trust, frontend_url
from clipper_nb.clients.unix_socket import PREFIX, use_unix_socket
from clipper_nb.clients.unreachable import Unreachable
from clipper_nb.errors import ClusterUnreachableError

_CONNECT_TIMEOUT_S = 5.0


class Http(Protocol):
    """Sends the requests of the frontends' clients: an :class:`HttpClient`, or a test's replacement.

    Attributes
    ----------
    base_url : str
    what : str
        Name of the server, for error messages.
    """

    base_url: str
    what: str

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        is_repeatable: bool = False,
    ) -> tuple[int, bytes]:
        """Return status and body, or raise ``ClusterUnreachableError``."""

    def close(self) -> None:
        """Close the connections."""


class HttpClient:
    """Keeps connections to one frontend.

    Parameters
    ----------
    address : str
        ``host:port``, a URL that the frontend's paths are appended to, or ``unix:`` and the path of a Unix socket.
    what : str
        Name of the server, for error messages.
    num_connect_retries : int
        How often a refused connection is retried, within a second.
    token : str, optional
        The bearer token of every request.
    trust : Trust, optional
        How the frontend proves itself over TLS, before anything is sent to it. A ``host:port`` is then called with
        HTTPS.
    """

    def __init__(
        self,
        address: str,
        what: str,
        *,
        num_connect_retries: int = 3,
        token: str | None = None,
        trust: Trust | None = None,
    ) -> None:
        self._socket_path = address[len(PREFIX) :] if address.startswith(PREFIX) else None
        self.base_url = (address if _is_complete(address) else frontend_url(address, trust)).rstrip("/")
        self.what = what
        self._unreachable = Unreachable(what, self.base_url)
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._num_connect_retries = num_connect_retries
        self._trust = trust
        self._pool, self._pool_pid = self._make_pool(), os.getpid()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        is_repeatable: bool = False,
    ) -> tuple[int, bytes]:
        """Return status and body; a repeatable request is sent once more when its connection breaks.

        A redirect is an answer: its target is another server, for which the token is not.

        Raises
        ------
        ClusterUnreachableError
            No connection, or no complete reply within *timeout_s*.
        """
        deadline_s = time.monotonic() + timeout_s
        try:
            return self._send(method, path, body, headers, timeout_s)
        except urllib3.exceptions.TimeoutError as exc:
            raise self._unreachable.too_late(method, path, timeout_s) from exc
        except urllib3.exceptions.HTTPError as exc:
            if not _is_broken(exc):
                raise self._no_connection(exc) from exc
            # The frontend ended before or after it received the request: the client cannot know which.
            left_s = deadline_s - time.monotonic()
            if not is_repeatable or left_s <= 0:
                raise self._unreachable.broken(method, path) from exc
        return self.request(method, path, body=body, headers=headers, timeout_s=left_s)

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str] | None, timeout_s: float
    ) -> tuple[int, bytes]:
        if self._pool_pid != os.getpid():  # forked: the connections are the parent's, which may be using them
            self._pool, self._pool_pid = self._make_pool(), os.getpid()
        connect_timeout_s = min(_CONNECT_TIMEOUT_S, timeout_s / (1 + self._num_connect_retries))
        reply = self._pool.request(
            method,
            self._url(path),
            body=body,
            headers={**self._headers, **(headers or {})},
            timeout=urllib3.Timeout(connect=connect_timeout_s, read=timeout_s),
            redirect=False,
        )
        return reply.status, reply.data

    def _no_connection(self, exc: urllib3.exceptions.HTTPError) -> ClusterUnreachableError:
        refusal = _tls_error(exc)
        return self._unreachable.no_connection(exc) if refusal is None else self._unreachable.no_proof(refusal)

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def _url(self, path: str) -> str:
        return (self.base_url if self._socket_path is None else "http://localhost") + path

    def _make_pool(self) -> urllib3.PoolManager:
        # A request is sent again only when it has not reached the frontend; read=0 would hide why a GET failed.
        retries = urllib3.Retry(
            total=None, connect=self._num_connect_retries, read=False, redirect=0, status=0, other=0, backoff_factor=0.1
        )
        trusted = {} if self._trust is None else self._trust.pool_options()
        pool = urllib3.PoolManager(retries=retries, maxsize=16, **trusted)
        if self._socket_path is not None:
            use_unix_socket(pool, self._socket_path)
        return pool


def _tls_error(exc: urllib3.exceptions.HTTPError) -> urllib3.exceptions.SSLError | None:
    """Return why no connection over TLS was made, if that is what *exc* tells."""
    reason = exc.reason if isinstance(exc, urllib3.exceptions.MaxRetryError) else exc
    return reason if isinstance(reason, urllib3.exceptions.SSLError) else None


def _is_broken(exc: urllib3.exceptions.HTTPError) -> bool:
    """Return whether the other end ended the connection, perhaps during a handshake."""
    refusal = _tls_error(exc)
    cause = refusal.args[0] if refusal is not None and refusal.args else None
    return isinstance(exc, urllib3.exceptions.ProtocolError) or isinstance(cause, ssl.SSLEOFError)


def _is_complete(address: str) -> bool:
    return "://" in address or address.startswith(PREFIX)
