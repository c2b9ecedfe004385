"""What one client may cost, and how many there may be."""

from __future__ import annotations

from dataclasses import dataclass

from clipper_nb.protocol.environment import DEFAULT_MAX_WAITING_SIZE_BYTES


@dataclass(frozen=True)
class HttpLimits:
    """Bounds of one server."""

    max_body_size_bytes: int
    header_timeout_s: float
    body_timeout_s: float
    reply_timeout_s: float = 30.0
    """A client that takes nothing of a reply for this long is dropped."""
    max_waiting_size_bytes: int = DEFAULT_MAX_WAITING_SIZE_BYTES
    """Of all large bodies together that were received, in part or whole, and have no answer."""
    max_connections: int | None = None
    """By default as many as the process may have files open, less some for everything else."""
