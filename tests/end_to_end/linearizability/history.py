"""What clients asked, when, and what they were told. (pure)"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

UNKNOWN = "unknown"
"""The client was told neither that its call was carried out nor that it was not."""


@dataclass(frozen=True)
class Call:
    """One call of one client.

    Attributes
    ----------
    client : str
    name : str
        What was asked.
    arguments : tuple of str
    result : hashable
        What the client was told; ``UNKNOWN`` for a call that may or may not have been carried out, then or later.
    started_s, ended_s : float
        Around the whole call, its repetitions included.
    """

    client: str
    name: str
    arguments: tuple[str, ...]
    result: Hashable
    started_s: float
    ended_s: float

    @property
    def is_unknown(self) -> bool:
        """Whether nobody knows what became of it."""
        return isinstance(self.result, str) and self.result == UNKNOWN

    def __str__(self) -> str:
        arguments = ", ".join(self.arguments)
        return f"{self.started_s:8.3f} to {self.ended_s:8.3f}  {self.client}  {self.name}({arguments}) → {self.result}"


def format_history(calls: list[Call]) -> str:
    """Return a line for each call, by their beginnings."""
    return "\n".join(map(str, sorted(calls, key=lambda call: call.started_s)))
