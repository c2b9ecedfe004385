"""Sends HTTP requests with a deadline; network failures become errors of this package."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Protocol

import urllib3

from clipper_nb.errors import ClusterUnreachableError


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
        ``host:port``, or a URL that the frontend's paths are appended to.
    what : str
        Name of the server, for error messages.
    num_connect_retries : int
        How often a refused connection is retried, within a second.
    """

    def __init__(self, address: str, what: str, *, num_connect_retries: int = 3) -> None:
        self.base_url = (address if "://" in address else f"http://{address}").rstrip("/")
        self.what = what
        self._num_connect_retries = num_connect_retries
        self._pool, self._pool_pid = _make_pool(num_connect_retries), os.getpid()

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

        Raises
        ------
        ClusterUnreachableError
            No connection, or no complete reply within *timeout_s*.
        """
        try:
            return self._send(method, path, body, headers, timeout_s)
        except urllib3.exceptions.ProtocolError as exc:
            # The frontend ended before or after it received the request: the client cannot know which.
            if not is_repeatable:
                what = f"broke the connection during {method} {path}"
                raise self._unreachable(what, is_passing=True) from exc
        except urllib3.exceptions.TimeoutError as exc:
            raise self._unreachable(f"has not answered {method} {path} within {timeout_s:g} s") from exc
        except urllib3.exceptions.HTTPError as exc:
            raise self._unreachable(f"cannot be reached ({type(exc).__name__})", is_passing=True) from exc
        return self.request(method, path, body=body, headers=headers, timeout_s=timeout_s)

    def _send(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str] | None, timeout_s: float
    ) -> tuple[int, bytes]:
        if self._pool_pid != os.getpid():  # forked: the connections are the parent's, which may be using them
            self._pool, self._pool_pid = _make_pool(self._num_connect_retries), os.getpid()
        timeout = urllib3.Timeout(connect=min(5.0, timeout_s), read=timeout_s)
        reply = self._pool.request(
            method, self.base_url + path, body=body, headers=dict(headers or {}), timeout=timeout
        )
        return reply.status, reply.data

    def _unreachable(self, what_happened: str, *, is_passing: bool = False) -> ClusterUnreachableError:
        return ClusterUnreachableError(
            f"The {self.what} at {self.base_url} {what_happened}. Is the cluster still running?", is_passing=is_passing
        )

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()


def _make_pool(num_connect_retries: int) -> urllib3.PoolManager:
    # A request is sent again only when it has not reached the frontend; read=0 would hide why a GET failed.
    retries = urllib3.Retry(
        total=None, connect=num_connect_retries, read=False, redirect=0, status=0, other=0, backoff_factor=0.1
    )
    return urllib3.PoolManager(retries=retries, maxsize=16)
