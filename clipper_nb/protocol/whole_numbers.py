"""Finds whole numbers that a double does not have: rounded, an identifier would silently become another one. (pure)"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

LARGEST_EXACT: Final = 2**53
"""Up to which a double has each whole number."""
_BELOW_2_TO_49: Final = bytes(byte for byte in range(256) if byte & 0x7F < 0x43)
"""Highest bytes, which are the sign and most of the exponent, of doubles that are certainly below."""
_MAX_SHOWN_DIGITS: Final = 40


class RoundedNumberError(ValueError):
    """A whole number that a double does not have.

    Attributes
    ----------
    position : int
        Its place in the list.
    """

    def __init__(self, position: int, number: int) -> None:
        self.position = position
        self._number = number
        super().__init__(f"{self.sentence} - at `$[{position}]`")

    @property
    def sentence(self) -> str:
        """What is wrong and what to do."""
        digits = str(self._number)
        shown = digits if len(digits) <= _MAX_SHOWN_DIGITS else f"{digits[:_MAX_SHOWN_DIGITS]}…"
        return (
            f"The whole number {shown} has more digits than a double keeps. Send an identifier as text, and a quantity "
            "that may be rounded with a decimal point"
        )


def may_be_rounded(payload: bytes) -> bool:
    """Return whether a payload of doubles has numbers so large that whole ones may have been rounded."""
    return bool(payload[7::8].translate(None, _BELOW_2_TO_49))


def check_whole_numbers(numbers: Sequence[Any]) -> None:
    """Check that a double keeps the digits of each ``int``.

    Raises
    ------
    RoundedNumberError
        For the first that would be rounded.
    """
    for position, number in enumerate(numbers):
        if isinstance(number, int) and not keeps_digits(number):
            raise RoundedNumberError(position, number)


def keeps_digits(number: int) -> bool:
    """Return whether a double is that number, or is written so by JavaScript: its shortest digits, then zeros."""
    if -LARGEST_EXACT <= number <= LARGEST_EXACT:
        return True
    try:
        nearest = float(number)
    except OverflowError:
        return False
    return nearest == number or int(Decimal(repr(nearest))) == number
