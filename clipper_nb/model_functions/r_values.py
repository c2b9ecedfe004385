"""Values of JSON as R's: objects are named lists, lists of scalars of one kind are vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clipper_nb.errors import InvalidInputError

_SMALLEST_INTEGER, _LARGEST_INTEGER = -(2**31) + 1, 2**31 - 1
"""R's integer range; one below the smallest is its NA."""
_LARGEST_EXACT = 2**53
"""Above it R's double loses digits of whole numbers."""
_NULL = type(None)


class RValues:
    """Converts values as ``jsonlite`` does, but nothing becomes text, a matrix or a data frame on the way.

    Parameters
    ----------
    rinterface : module
        ``rpy2.rinterface``, with R running.
    """

    def __init__(self, rinterface: Any) -> None:
        self._r = rinterface

    def convert(self, value: Any) -> Any:
        """Return R's value: a vector of one element for a scalar, ``NULL`` for ``None``.

        Raises
        ------
        InvalidInputError
            It has a whole number that R would round, or a text with a zero byte, where R's text ends.
        """
        if value is None:
            return self._r.NULL
        if isinstance(value, Mapping):
            converted = self._r.ListSexpVector([self.convert(member) for member in value.values()])
            converted.names = self._r.StrSexpVector(list(map(_checked_text, value)))
            return converted
        if isinstance(value, list):
            vector = self._vector(value) if value else None
            return self._r.ListSexpVector(list(map(self.convert, value))) if vector is None else vector
        return self._vector([value])

    def _vector(self, values: Sequence[Any]) -> Any:
        """Return scalars of one kind as a vector, in which ``None`` is NA; ``None`` for others."""
        r = self._r
        kinds = {*map(type, values)} - {_NULL}
        if kinds <= {bool}:
            return r.BoolSexpVector(_with_na(values, r.NA_Logical))
        if kinds == {str}:
            texts = [value if value is None else _checked_text(value) for value in values]
            return r.StrSexpVector(_with_na(texts, r.NA_Character))
        if not kinds <= {int, float}:
            return None
        wholes = [value for value in values if type(value) is int]
        if kinds == {int} and all(_SMALLEST_INTEGER <= value <= _LARGEST_INTEGER for value in wholes):
            return r.IntSexpVector(_with_na(values, r.NA_Integer))
        for value in wholes:
            if abs(value) > _LARGEST_EXACT:
                raise InvalidInputError(f"R has no number that is exactly {value}. Send it as text.")
        return r.FloatSexpVector([r.NA_Real if value is None else float(value) for value in values])


def _checked_text(text: str) -> str:
    if "\0" in text:
        raise InvalidInputError("R has no text with a zero byte, and the input has one.")
    return text


def _with_na(values: Sequence[Any], na: Any) -> list[Any]:
    return [na if value is None else value for value in values]
