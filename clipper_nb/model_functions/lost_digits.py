"""Refuses records whose ``float`` fields would get whole numbers that a double does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.whole_numbers import LARGEST_EXACT, RoundedNumberError, check_whole_numbers

_FRACTIONS: Final = {float}
_Read = Callable[[Sequence[Any]], Sequence[Any]]


def check_records(values: Sequence[Any], records: Sequence[Any], read: _Read) -> None:
    """Check that *records*, which *read* made of *values*, have the digits of their whole numbers.

    Whether a field keeps them shows in what *read* makes of the rounded number; a field that is ignored takes anything.

    Raises
    ------
    InvalidInputError
        A record has another number than its value.
    """
    if not _has_large_numbers(values):
        return
    for position, (value, record) in enumerate(zip(values, records, strict=True)):
        for path, exc in _rounded_numbers(value, ()):
            is_same = read([_with(value, path, int(float(_at(value, path))))])[0] == record
            if is_same and not _is_readable(_with(value, path, {}), read):
                where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
                index = f"[{position}]" if len(values) > 1 else ""
                raise InvalidInputError(f"{exc.sentence} - at `${index}{where}`.")


def _has_large_numbers(parts: Iterable[Any]) -> bool:
    """Return whether there is a whole number that a double may not have; faster than to find which."""
    for part in parts:
        kind = type(part)
        if kind is int:
            if not -LARGEST_EXACT <= part <= LARGEST_EXACT:
                return True
        elif kind is dict:
            if _has_large_numbers(part.values()):
                return True
        elif kind is list and {*map(type, part)} != _FRACTIONS and _has_large_numbers(part):
            return True
    return False


def _rounded_numbers(value: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], RoundedNumberError]]:
    """Yield where *value* has whole numbers that no double is written as."""
    kind = type(value)
    if kind is int:
        try:
            check_whole_numbers([value])
        except RoundedNumberError as exc:
            yield path, exc
    elif kind is dict or kind is list:
        for key, part in value.items() if kind is dict else enumerate(value):
            yield from _rounded_numbers(part, (*path, key))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


def _with(value: Any, path: tuple[Any, ...], part: Any) -> Any:
    """Return *value* with another part at *path*."""
    if not path:
        return part
    changed = value.copy()
    changed[path[0]] = _with(value[path[0]], path[1:], part)
    return changed


def _is_readable(value: Any, read: _Read) -> bool:
    try:
        read([value])
    except ValueError:  # of msgspec and of pydantic
        return False
    return True
