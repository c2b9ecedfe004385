"""Whether two outputs are the same answer. (pure)"""

from __future__ import annotations

import math
from typing import Any

import msgspec

RELATIVE_TOLERANCE, ABSOLUTE_TOLERANCE = 1e-6, 1e-9
"""Numbers that differ by less are equal: another library or processor rounds otherwise."""
MAX_COMPARED_SIZE = 64 * 1024
"""Characters; longer outputs are equal only if their texts are, because parsing them would delay queries."""

_decode = msgspec.json.Decoder(Any).decode


def agree(output: str, other: str) -> bool:
    """Return whether two outputs are equal, numbers within a tolerance, also those in lists and objects."""
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
    try:
        return _are_equal(float(output), float(other))
    except ValueError:
        return False


def _are_equal(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, (int, float)) and isinstance(other, (int, float)):
        both_nan = one != one and other != other
        return both_nan or math.isclose(one, other, rel_tol=RELATIVE_TOLERANCE, abs_tol=ABSOLUTE_TOLERANCE)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_are_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_are_equal(one[key], other[key]) for key in one)
    return bool(one == other)
