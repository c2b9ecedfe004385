"""What every exception of clipper_nb is, and what several of them have in their messages. (pure)"""

from __future__ import annotations


class ClipperException(Exception):
    """Base class of everything that clipper_nb raises; ``msg`` is the message."""

    def __init__(self, msg: str) -> None:
        super().__init__(msg)
        self.msg = msg


def log_end(log_tail: str) -> str:
    """Return the lines that end a message with the end of a log; nothing if there is none."""
    return f"\nEnd of its log:\n{log_tail.rstrip()}" if log_tail.strip() else ""
