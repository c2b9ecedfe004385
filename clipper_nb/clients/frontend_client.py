"""Asks a frontend about itself: its release, whether it is ready, and what it has counted."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from clipper_nb.clients.http_client import Http, HttpClient
from clipper_nb.clients.trust import Trust
from clipper_nb.errors import ClusterUnreachableError

_LIVE_TIMEOUT_S = 5.0
_READY_TIMEOUT_S = 15.0
"""The management frontend itself waits for Redis before it answers that Redis is away."""
_METRICS_TIMEOUT_S = 10.0
_UNKNOWN_VERSION = "before 0.1.0"
"""Frontends of older releases did not send it."""


class FrontendClient:
    """Asks one frontend, the query frontend or the management frontend, what both answer without the admin token.

    Every method raises ``ClusterUnreachableError`` when the frontend does not answer.

    Parameters
    ----------
    http : Http
        Sends requests to the frontend.

    Examples
    --------
    >>> FrontendClient.at(conn.get_query_addr(), "query frontend").live()
    '0.1.0'
    """

    def __init__(self, http: Http) -> None:
        self._http = http

    @classmethod
    def at(cls, address: str, what: str, token: str | None = None, trust: Trust | None = None) -> FrontendClient:
        """Return a client of the frontend at ``host:port`` or a URL; *what* names it in errors.

        *token* is the cluster's query token, without which some clusters show no metrics; *trust* is how the frontend
        proves itself over TLS.
        """
        return cls(HttpClient(address, what, token=token, trust=trust))

    def live(self, *, timeout_s: float = _LIVE_TIMEOUT_S) -> str:
        """Return the release of clipper_nb that the frontend runs."""
        version = _field(self._get_ok("/livez", timeout_s), "version")
        return _UNKNOWN_VERSION if version is None else str(version)

    def ready(self, *, timeout_s: float = _READY_TIMEOUT_S) -> str | None:
        """Return why the frontend cannot do its work now, or ``None`` when it can."""
        status, body = self._get("/readyz", timeout_s)
        if status == HTTPStatus.OK:
            return None
        cause = _field(body, "cause")
        return body.decode("utf-8", "replace")[:200] if cause is None else str(cause)

    def metrics(self, *, timeout_s: float = _METRICS_TIMEOUT_S) -> str:
        """Return the metrics in Prometheus text: a query frontend's are those of all in the cluster."""
        return self._get_ok("/metrics?of=cluster", timeout_s).decode()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _get_ok(self, path: str, timeout_s: float) -> bytes:
        status, body = self._get(path, timeout_s)
        if status != HTTPStatus.OK:
            raise ClusterUnreachableError(f"The {self._http.what} answered {path} with status {status}.")
        return body

    def _get(self, path: str, timeout_s: float) -> tuple[int, bytes]:
        return self._http.request("GET", path, timeout_s=timeout_s, is_repeatable=True)


def _field(body: bytes, name: str) -> Any:
    """Return a field of a JSON object, or ``None`` without one."""
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value.get(name) if isinstance(value, dict) else None
