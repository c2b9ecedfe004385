"""Whether two outputs are the same answer. (pure)"""

from __future__ import annotations

import contextlib
import math
from typing import Any

import msgspec

RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-6, 1e-9
"""Fractions that differ by less are equal: another library or processor rounds otherwise."""
MAX_COMPARED_SIZE = 64 * 1024
"""Characters; longer outputs are equal only if their texts are, because parsing them would delay queries."""

_decode = msgspec.json.Decoder(Any).decode


def agree(output: str, other: str) -> bool:
    """Return whether two outputs are equal, fractions within a tolerance, also those in lists and objects."""
    if output == other:
        return True
    if max(len(output), len(other)) > MAX_COMPARED_SIZE:
        return False
    try:
        return _are_equal(_decode(output), _decode(other))
    except (msgspec.DecodeError, RecursionError):
        return _are_numbers(output, other)


def _are_numbers(output: str, other: str) -> bool:
    """Return whether both are the same number in Python's words, such as ``nan``."""
    for read in (int, float):
        with contextlib.suppress(ValueError):
            return _are_equal(read(output), read(other))
    return False


def _are_equal(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        return _are_equal_numbers(one, other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_are_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_are_equal(one[key], other[key]) for key in one)
    return bool(one == other)


def _are_equal_numbers(one: float, other: float) -> bool:
    """Return whether two numbers are equal; whole ones may be identifiers, of which the next one is another one."""
    if one == other or (one != one and other != other):
        return True
    if int in (type(one), type(other)) and not (_is_fraction(one) or _is_fraction(other)):
        return False
    try:
        return math.isclose(one, other, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)
    except OverflowError:  # no float holds one of them
        return False


def _is_fraction(number: float) -> bool:
    return isinstance(number, float) and not number.is_integer()
