"""The interfaces through which a connection passes predict and infer requests to their endpoints."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from clipper_nb.protocol.request_origin import RequestOrigin

Respond = Callable[[int, bytes], None]
"""Called with the status and the JSON body of the reply."""
Cancel = Callable[[], None]
"""Called when the client no longer waits for the reply."""


class Endpoint(Protocol):
    """Answers predict requests."""

    def __call__(
        self,
        application_name: str,
        body: bytes,
        arrived_s: float,
        respond: Respond,
        origin: RequestOrigin | None = None,
        /,
    ) -> Cancel | None:
        """Answer one request through *respond*, now or later; return a callback for when the client no longer waits.

        *arrived_s* is an instant of ``time.monotonic``. *origin* is given if the client said where the request comes
        from.
        """


class InferHead(NamedTuple):
    """The head of a request to ``/v2/models/<application>[/versions/<version>]/infer``."""

    application_name: str
    """Or the key of a token."""
    version: str | None
    json_size: bytes | None
    """The header ``Inference-Header-Content-Length``, if there is one."""
    content_encoding: bytes | None
    """The header ``Content-Encoding``, if there is one."""
    origin: RequestOrigin | None = None
    """Where the request comes from, if the client said so."""


class InferReply(Protocol):
    """Where the reply to an infer request goes."""

    def respond(self, status: int, body: bytes) -> None:
        """Reply with a JSON body."""

    def respond_with_tensors(self, json_size_bytes: int, body: bytes) -> None:
        """Reply with JSON of that size and binary tensors after it."""


InferEndpoint = Callable[[InferHead, bytes, float, InferReply], "Cancel | None"]
"""Called with the head, the body, the instant of arrival (``time.monotonic``), and where the reply goes."""
