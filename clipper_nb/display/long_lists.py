"""Numbers and long lists in a few words, as a person would read them. (pure)"""

from __future__ import annotations

from collections.abc import Sequence

MAX_LINES = 50


def count(number: int, noun: str) -> str:
    """Return ``"1 replica"`` or ``"1,200 replicas"``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def join_some(texts: Sequence[str], separator: str = ", ") -> str:
    """Return the first texts joined, and how many more there are."""
    if len(texts) <= MAX_LINES:
        return separator.join(texts)
    return f"{separator.join(texts[:MAX_LINES])}{separator}and {len(texts) - MAX_LINES:,} more"
