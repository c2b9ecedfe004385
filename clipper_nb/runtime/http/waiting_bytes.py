"""How many bytes of large bodies wait for an answer, and how many may. (pure)"""

from __future__ import annotations

from typing import Final

LARGE_BODY_SIZE_BYTES: Final = 64 * 1024
"""Smaller bodies that wait for an answer are not counted: each connection has a limit on them."""


class WaitingBytes:
    """Counts the bytes that were received and not answered, and what was created from them.

    Parameters
    ----------
    limit_bytes : int
        Beyond it new large bodies are rejected, unless there is no other.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self.unfinished_size_bytes = 0
        """Bytes of unfinished bodies, including small ones."""

    @property
    def is_over(self) -> bool:
        """True if more bytes wait than the limit."""
        return self.size_bytes > self.limit_bytes

    def has_room_for(self, size_bytes: int) -> bool:
        """Return whether a body of that size is accepted; a small body or the only large one always is."""
        is_first = self.size_bytes == 0
        return is_first or size_bytes <= LARGE_BODY_SIZE_BYTES or self.size_bytes + size_bytes <= self.limit_bytes

    def must_make_room(self, size_bytes: int) -> bool:
        """Return whether an unfinished body, of which *size_bytes* were received, exceeds the limit."""
        if not self.is_over or size_bytes == self.size_bytes:  # the only one may have any allowed size
            return False
        return size_bytes > LARGE_BODY_SIZE_BYTES or self.unfinished_size_bytes > self.limit_bytes

    def add(self, size_bytes: int, *, is_unfinished: bool = False) -> None:
        """Count more waiting bytes, of an unfinished body or of one that waits for its answer."""
        self.size_bytes += size_bytes
        if is_unfinished:
            self.unfinished_size_bytes += size_bytes

    def remove(self, size_bytes: int, *, is_unfinished: bool = False) -> None:
        """Count fewer waiting bytes."""
        self.add(-size_bytes, is_unfinished=is_unfinished)
