"""Names in each log line of a replica the requests of the batch that is computed, if their clients named them."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from contextvars import ContextVar

from clipper_nb.protocol.request_origin import RequestOrigin, describe_origins

_origins: ContextVar[Sequence[RequestOrigin]] = ContextVar("origins", default=())
"""Of a thread and of the coroutines that it runs; other threads log lines without a request."""


class RequestFormatter(logging.Formatter):
    """Writes log lines as its format says, with the requests before the message."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line of a record, without its traceback."""
        origins = _origins.get()
        if origins:
            record.message = f"[{describe_origins(origins)}] {record.message}"
        return super().formatMessage(record)


@contextlib.contextmanager
def logged_requests(origins: Sequence[RequestOrigin]) -> Iterator[None]:
    """Name these requests in log lines during the ``with``."""
    before = _origins.set(origins)
    try:
        yield
    finally:
        _origins.reset(before)
