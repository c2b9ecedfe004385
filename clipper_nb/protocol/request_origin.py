"""Where a query comes from, as its client says it: ``X-Request-Id``, W3C's ``traceparent``, ``X-Clipper-Key``. (pure)

The first two are shown in logs, so only short plain text counts; anything else is as if it had not been sent. The key,
which may be a user's name, goes nowhere but into a hash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from clipper_nb.errors import ProtocolError

ORIGIN_HEADERS = (b"x-request-id", b"traceparent", b"x-clipper-key")
"""Names of headers, in lower case."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@~-]{0,127}\Z")
# Later versions may have more after the flags; version ff and ids of zeros are invalid.
_TRACEPARENT = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-[!-~]{0,64})?\Z"
)
_FIRST_VERSION_SIZE_BYTES = 55
_SAMPLED = 1
_MAX_SHOWN = 8


@dataclass(frozen=True)
class RequestOrigin:
    """What one request says of itself."""

    request_id: str = ""
    traceparent: str = ""
    key: bytes | None = field(default=None, repr=False)
    """By which an application with several targets chooses one."""

    @property
    def trace_id(self) -> str:
        """The trace's id, 32 hexadecimal digits; empty if there is none."""
        return self.traceparent.split("-")[1] if self.traceparent else ""

    @property
    def sampled_trace_id(self) -> str:
        """The same; empty too for a trace that its caller does not record."""
        is_sampled = self.traceparent and int(self.traceparent.split("-")[3], 16) & _SAMPLED
        return self.trace_id if is_sampled else ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.request_id, self.trace_id and f"trace {self.trace_id}")))


Origins = Sequence[Sequence[RequestOrigin]]
"""For each input of a batch, the origins of the queries that it answers, as far as they are known."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[tuple[int, str, str]]).decode


def find_origin(headers: Iterable[tuple[bytes, bytes]]) -> RequestOrigin | None:
    """Return what a request's headers say of its origin, or ``None``; a header that is sent twice says nothing.

    Several keys are one, as if they had been sent with commas between.
    """
    request_ids, traceparents, keys = [], [], []
    for name, value in headers:
        lowered = name.lower()
        if lowered == b"x-request-id":
            request_ids.append(value.strip())
        elif lowered == b"traceparent":
            traceparents.append(value.strip())
        elif lowered == b"x-clipper-key":
            keys.append(value.strip())
    request_id = request_ids[0] if len(request_ids) == 1 and _REQUEST_ID.match(request_ids[0]) else b""
    traceparent = traceparents[0] if len(traceparents) == 1 and _is_traceparent(traceparents[0]) else b""
    key = b",".join(keys) or None
    if not request_id and not traceparent and key is None:
        return None
    return RequestOrigin(request_id.decode(), traceparent.decode(), key)


def key_of(in_body: bytes | None, origin: RequestOrigin | None) -> bytes | None:
    """Return the key of a request: that in its body, else that of the header."""
    return origin.key if in_body is None and origin is not None else in_body


def encode_origins(origins: Origins) -> bytes:
    """Return the origins of a batch as a frame."""
    found = [
        (position, origin.request_id, origin.traceparent)
        for position, of_input in enumerate(origins)
        for origin in of_input
        if origin.request_id or origin.traceparent
    ]
    return _encode(found)


def decode_origins(frame: bytes | memoryview) -> list[RequestOrigin]:
    """Return the origins in a frame, in the order of the inputs.

    Raises
    ------
    ProtocolError
        The frame holds something else.
    """
    try:
        return [RequestOrigin(request_id, traceparent) for _, request_id, traceparent in _decode(frame)]
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise ProtocolError(f"the origins of a batch cannot be read: {exc}") from exc


def describe_origins(origins: Sequence[RequestOrigin]) -> str:
    """Return origins as a log line has them: the first few, and how many more."""
    shown = ", ".join(str(origin) for origin in origins[:_MAX_SHOWN])
    more = f" and {len(origins) - _MAX_SHOWN} more" if len(origins) > _MAX_SHOWN else ""
    return f"{'request' if len(origins) == 1 else 'requests'} {shown}{more}"


def _is_traceparent(value: bytes) -> bool:
    if not _TRACEPARENT.match(value):
        return False
    return len(value) == _FIRST_VERSION_SIZE_BYTES or not value.startswith(b"00-")
