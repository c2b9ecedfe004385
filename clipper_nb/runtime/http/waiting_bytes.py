"""How many bytes of large bodies wait for an answer, and how many may. (pure)"""

from __future__ import annotations

from typing import Final

LARGE_BODY_SIZE_BYTES: Final = 64 * 1024
"""Smaller bodies that wait for an answer are not counted: what one connection may have of them is bounded."""


class WaitingBytes:
    """Counts what is received and not answered, and what was made of it.

    Parameters
    ----------
    limit_bytes : int
        Beyond it new large bodies are refused; one that is alone is not.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.size_bytes = 0
        self.unfinished_size_bytes = 0
        """Of bodies that have not come to their end, small ones too."""

    @property
    def is_over(self) -> bool:
        """Whether more waits than may."""
        return self.size_bytes > self.limit_bytes

    def has_room_for(self, size_bytes: int) -> bool:
        """Whether a body of that size may come; the small and the first ones always may."""
        is_first = self.size_bytes == 0
        return is_first or size_bytes <= LARGE_BODY_SIZE_BYTES or self.size_bytes + size_bytes <= self.limit_bytes

    def must_make_room(self, size_bytes: int) -> bool:
        """Whether a body of which so much has come, which is not all, is one too many."""
        if not self.is_over or size_bytes == self.size_bytes:  # the only one may be as large as a body may be
            return False
        return size_bytes > LARGE_BODY_SIZE_BYTES or self.unfinished_size_bytes > self.limit_bytes

    def add(self, size_bytes: int, *, is_unfinished: bool = False) -> None:
        """So many more bytes wait; of a body that is not at its end, or for an answer."""
        self.size_bytes += size_bytes
        if is_unfinished:
            self.unfinished_size_bytes += size_bytes

    def remove(self, size_bytes: int, *, is_unfinished: bool = False) -> None:
        """So many bytes do not wait any more."""
        self.add(-size_bytes, is_unfinished=is_unfinished)
