"""HTTP statuses of our errors, and the JSON form of every failure, for both frontends."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar, Protocol

import tornado.web

from clipper_nb.errors import (
    ClipperException,
    ClusterUnreachableError,
    ExistsError,
    InvalidInputError,
    InvalidRequestError,
    NotFoundError,
    StateUnavailableError,
    VersionClaimedError,
)
from clipper_nb.protocol import rest
from clipper_nb.version import __version__

logger = logging.getLogger(__name__)

JSON_CONTENT_TYPE = "application/json"
_OPEN_METRICS = "application/openmetrics-text"
_QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\Z")
INTERNAL_CAUSE = "Something went wrong inside the frontend; its log has the traceback."

_STATUSES: tuple[tuple[type[ClipperException], HTTPStatus, str], ...] = (
    (InvalidInputError, HTTPStatus.BAD_REQUEST, "Json error"),
    (InvalidRequestError, HTTPStatus.BAD_REQUEST, "Invalid request"),
    (NotFoundError, HTTPStatus.NOT_FOUND, "Not found"),
    (VersionClaimedError, HTTPStatus.LOCKED, "Version claimed"),
    (ExistsError, HTTPStatus.CONFLICT, "Already exists"),
    (StateUnavailableError, HTTPStatus.SERVICE_UNAVAILABLE, "State unavailable"),
    (ClusterUnreachableError, HTTPStatus.GATEWAY_TIMEOUT, "Not confirmed"),
)


def describe_failure(exc: BaseException) -> tuple[HTTPStatus, bytes]:
    """Return the status and the JSON body for an exception; an unexpected one is an internal error without details."""
    status, error, cause = _name_failure(exc)
    return status, rest.format_error(error, cause)


def _name_failure(exc: BaseException) -> tuple[HTTPStatus, str, str]:
    """Return the status, the error and its cause for an exception."""
    if isinstance(exc, StateUnavailableError) and exc.is_in_doubt:
        return HTTPStatus.SERVICE_UNAVAILABLE, rest.CHANGE_IN_DOUBT, str(exc)
    for error_type, status, error in _STATUSES:
        if isinstance(exc, error_type):
            return status, error, str(exc)
    return HTTPStatus.INTERNAL_SERVER_ERROR, "Internal error", INTERNAL_CAUSE


class JsonHandler(tornado.web.RequestHandler):
    """A handler that answers in JSON, including failures."""

    method_hint: ClassVar[str] = ""
    """What to do instead of sending another method; follows the sentence that says which are accepted."""

    def set_default_headers(self) -> None:
        self.set_header("Content-Type", JSON_CONTENT_TYPE)

    def options(self, *args: Any) -> None:
        """Answer with the methods that the path accepts."""
        self.set_status(HTTPStatus.NO_CONTENT)
        self.set_header("Allow", ", ".join(self._allowed_methods()))
        self.finish()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with ``{"error", "cause"}``."""
        exc = kwargs.get("exc_info", (None, None, None))[1]
        self.set_header("Content-Type", JSON_CONTENT_TYPE)
        if isinstance(exc, ClipperException):
            status, error, cause = _name_failure(exc)
            self.set_status(status)
            body = self.format_failure(error, cause)
        elif isinstance(exc, tornado.web.HTTPError) and status_code != HTTPStatus.INTERNAL_SERVER_ERROR:
            phrase = HTTPStatus(status_code).phrase.capitalize()
            cause = exc.log_message % exc.args if exc.log_message else phrase
            if status_code == HTTPStatus.METHOD_NOT_ALLOWED:
                allowed = self._allowed_methods()
                self.set_header("Allow", ", ".join(allowed))
                takes = " or ".join(method for method in allowed if method != "OPTIONS")
                cause = f"{self.request.path} takes {takes}, not {self.request.method}.{self.method_hint}"
            body = self.format_failure(phrase, cause)
        else:
            body = self.format_failure(*_name_failure(RuntimeError())[1:])
        self.finish(body)

    def format_failure(self, error: str, cause: str) -> bytes:
        """Return the body of a failure."""
        return rest.format_error(error, cause)

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log unexpected errors with a traceback; client errors at debug level."""
        if isinstance(value, (ClipperException, tornado.web.HTTPError)):
            logger.debug("%s %s: %s", self.request.method, self.request.path, value)
        else:
            logger.error("%s %s", self.request.method, self.request.path, exc_info=(typ, value, tb))

    def _allowed_methods(self) -> list[str]:
        unimplemented = tornado.web.RequestHandler.get
        return [method for method in self.SUPPORTED_METHODS if getattr(type(self), method.lower()) is not unimplemented]


class UnknownPathHandler(JsonHandler):
    """Answers every path that has no route."""

    def prepare(self) -> None:
        """Answer independent of the method; ``OPTIONS *`` asks about the server, not about a path."""
        if self.request.method == "OPTIONS" and self.request.path == "*":
            return
        raise tornado.web.HTTPError(
            HTTPStatus.NOT_FOUND,
            self.application.settings["unknown_path"].replace("{path}", self.request.path),
        )


class LiveHandler(JsonHandler):
    """``GET /livez``: the event loop runs."""

    def get(self) -> None:
        """Answer 200 with this package's version."""
        self.finish(rest.format_body({"live": True, "version": __version__}))

    head = get


Exposition = Callable[[], Awaitable[list[bytes]]]
"""Returns metrics as Prometheus text, in parts, because copying megabytes takes milliseconds."""


_AnyExposition = Callable[..., Awaitable[list[bytes]]]


class OpenExposition(Protocol):
    """The same, of metrics that can be had as OpenMetrics too."""

    def __call__(self, *, as_open_metrics: bool = False) -> Awaitable[list[bytes]]: ...


class MetricsHandler(JsonHandler):
    """``GET /metrics`` in Prometheus text, or in OpenMetrics for a client that prefers it where there is that.

    With ``?of=cluster`` it has those of all query frontends.
    """

    def initialize(
        self, exposition: _AnyExposition, of_cluster: _AnyExposition | None = None, *, has_open_metrics: bool = False
    ) -> None:
        """Store the route's arguments (called by Tornado); with *has_open_metrics* both can be had in either format."""
        self._exposition = exposition
        self._of_cluster = of_cluster or exposition
        self._has_open_metrics = has_open_metrics

    async def get(self) -> None:
        """Write all series."""
        exposition = self._of_cluster if self.get_query_argument("of", "") == "cluster" else self._exposition
        content_type = "text/plain; version=0.0.4; charset=utf-8"
        if self._has_open_metrics:
            self.set_header("Vary", "Accept")
            if _prefers_open_metrics(self.request.headers.get("Accept", "")):
                exposition = partial(exposition, as_open_metrics=True)
                content_type = f"{_OPEN_METRICS}; version=1.0.0; charset=utf-8"
        parts = await exposition()
        self.set_header("Content-Type", content_type)
        self.set_header("Content-Length", sum(map(len, parts)))
        for part in parts:
            self.write(part)
            await self.flush()
        self.finish()

    head = get

    def compute_etag(self) -> None:
        """Return no digest: it costs time and is useless because every answer is different."""


def _prefers_open_metrics(accept: str) -> bool:
    """Return whether a header names OpenMetrics, and nothing says that plain text is better."""
    qualities: dict[str, float] = {}
    for each in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in each.split(";"))
        given = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        quality = float(given) if _QUALITY.match(given) else 0.0
        qualities[media_type] = max(quality, qualities.get(media_type, 0.0))
    return 0 < qualities.get(_OPEN_METRICS, 0) >= qualities.get("text/plain", 0)
