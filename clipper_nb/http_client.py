"""One HTTP request with a deadline; what goes wrong on the way becomes an error of ours."""

from __future__ import annotations

from collections.abc import Mapping

import urllib3

from clipper_nb.errors import ClusterUnreachableError


class HttpClient:
    """Keeps connections to one frontend.

    Parameters
    ----------
    address : str
        ``host:port``, or a URL that the frontend's paths are appended to.
    what : str
        Who listens there, for error messages.
    """

    def __init__(self, address: str, what: str) -> None:
        self.base_url = (address if "://" in address else f"http://{address}").rstrip("/")
        self._what = what
        # A request is sent again only when it has not reached the frontend.
        retries = urllib3.Retry(total=None, connect=3, read=0, redirect=0, status=0, other=0, backoff_factor=0.1)
        self._pool = urllib3.PoolManager(retries=retries, maxsize=16)

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
    ) -> tuple[int, bytes]:
        """Return status and body.

        Raises
        ------
        ClusterUnreachableError
            No connection, or no complete reply within *timeout_s*.
        """
        try:
            reply = self._pool.request(
                method, self.base_url + path, body=body, headers=dict(headers or {}),
                timeout=urllib3.Timeout(connect=min(5.0, timeout_s), read=timeout_s),
            )  # fmt: skip
        except urllib3.exceptions.HTTPError as exc:
            if isinstance(exc, urllib3.exceptions.TimeoutError):
                sentence = f"has not answered {method} {path} within {timeout_s:g} s"
            else:
                sentence = f"cannot be reached ({type(exc.__cause__ or exc).__name__})"
            raise ClusterUnreachableError(
                f"The {self._what} at {self.base_url} {sentence}. Is the cluster still running?"
            ) from exc
        return reply.status, reply.data

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()
