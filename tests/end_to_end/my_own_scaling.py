"""A second module of the user's own, used by the first."""

from __future__ import annotations

FACTOR = 10.0


def scale(value: float) -> float:
    """Multiply by the factor."""
    return FACTOR * value
