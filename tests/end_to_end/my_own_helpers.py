"""A module of the user's own: it lies beside the notebook and is not installed."""

from __future__ import annotations

from tests.end_to_end import my_own_scaling


def scaled_sum(x) -> float:
    """Use a second module of the user's own."""
    return my_own_scaling.scale(float(x.sum()))


class Offset:
    """A class of the module."""

    def __init__(self, offset: float) -> None:
        self.offset = offset

    def apply(self, value: float) -> float:
        """Add the offset."""
        return value + self.offset
