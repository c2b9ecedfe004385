"""Limits on the cost of one client, and on the number of clients."""

from __future__ import annotations

from dataclasses import dataclass

from clipper_nb.protocol.environment import DEFAULT_MAX_WAITING_SIZE_BYTES


@dataclass(frozen=True)
class HttpLimits:
    """The limits of one server."""

    max_body_size_bytes: int
    header_timeout_s: float
    body_timeout_s: float
    reply_timeout_s: float = 30.0
    """A client that reads nothing of a reply for this long is disconnected."""
    max_waiting_size_bytes: int = DEFAULT_MAX_WAITING_SIZE_BYTES
    """Limit on all large bodies together that were received, in part or whole, and not answered."""
    max_connections: int | None = None
    """By default the process's limit of open files, minus some for everything else."""
