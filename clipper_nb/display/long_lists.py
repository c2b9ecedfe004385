"""Long lists in few lines: what a person would read of them, and how many more there are. (pure)"""

from __future__ import annotations

from collections.abc import Sequence

MAX_LINES = 50


def join_some(texts: Sequence[str], separator: str = ", ") -> str:
    """Return the first texts joined, and how many more there are."""
    if len(texts) <= MAX_LINES:
        return separator.join(texts)
    return f"{separator.join(texts[:MAX_LINES])}{separator}and {len(texts) - MAX_LINES:,} more"
