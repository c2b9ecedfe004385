"""Objects of JSON as one data frame of pandas, with the columns and dtypes of a sample."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.schema_words import shortened
from clipper_nb.protocol.whole_numbers import keeps_digits

LARGEST_FLOATS = {2: 65504.0, 4: 3.4028235677973362e38}
"""By size in bytes; larger doubles would become infinities."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_DURATION = re.compile(r"[-+]?P")
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class FrameReader:
    """Makes data frames that are like *sample*.

    Parameters
    ----------
    sample : pandas.DataFrame
        One without rows; its columns are those that :func:`clipper_nb.closures.frame_schema.frame_schema` accepts.
    """

    def __init__(self, sample: Any) -> None:
        self._sample = sample
        self._columns = [(str(name), dtype, _cell_reader(dtype)) for name, dtype in sample.dtypes.items()]

    def read(self, values: Sequence[Any]) -> Any:
        """Return a data frame with one row per object; names that the sample does not have are ignored."""
        import pandas as pd

        columns = {name: self._column(values, name, dtype, read) for name, dtype, read in self._columns}
        return pd.DataFrame(columns, index=pd.RangeIndex(len(values)), columns=self._sample.columns)

    def _column(self, values: Sequence[Any], name: str, dtype: Any, read: Callable[[Any], Any]) -> Any:
        import pandas as pd

        cells = []
        for number, row in enumerate(values):
            if not isinstance(row, dict) or name not in row:
                raise InvalidInputError(f"Input {number} must be an object with '{name}'; it is {shortened(row)}.")
            try:
                cells.append(read(row[name]))
            except Exception as exc:  # pandas has no class of its own; with pandas 2 those of pytz come here too
                told = str(exc) if isinstance(exc, ValueError) else f"{type(exc).__name__}: {exc}"
                reason = f" ({told})" if told else ""
                raise InvalidInputError(
                    f"Input {number}: '{name}' is {shortened(row[name])}, which does not fit a column of dtype "
                    f"{dtype}{reason}."
                ) from None
        return pd.Series(cells, dtype=dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as the sample."""
        return FrameReader, (self._sample,)


def is_nullable(dtype: Any) -> bool:
    """Return whether a column of that dtype may have missing values; NumPy's whole numbers and booleans have none."""
    return not (type(dtype).__module__.startswith("numpy") and dtype.kind in "iub")


def whole_number_range(dtype: Any) -> tuple[int, int]:
    """Return the smallest and the largest value of a dtype of whole numbers."""
    num_bits = 8 * int(dtype.itemsize)
    return (0, 2**num_bits - 1) if dtype.kind == "u" else (-(2 ** (num_bits - 1)), 2 ** (num_bits - 1) - 1)


def _cell_reader(dtype: Any) -> Callable[[Any], Any]:
    """Return what reads one cell; it raises ``ValueError`` for a value that the dtype would change."""
    read = _reader_of_values(dtype)
    missing = math.nan if dtype.kind == "f" and type(dtype).__module__.startswith("numpy") else None
    nullable = is_nullable(dtype)

    def read_cell(value: Any) -> Any:
        if value is None:
            if not nullable:
                raise ValueError("it has no missing value")
            return missing
        return read(value)

    return read_cell


def _reader_of_values(dtype: Any) -> Callable[[Any], Any]:
    if hasattr(dtype, "categories"):
        return _level_reader(dtype)
    if dtype.kind in "iu":
        return _whole_number_reader(dtype)
    if dtype.kind in "mM":
        return _time_reader(dtype)
    if dtype.kind == "f":
        return _float_reader(dtype)
    if dtype.kind == "b":
        return _read_flag
    return _read_text if str(dtype) != "object" else lambda value: value


def _level_reader(dtype: Any) -> Callable[[Any], Any]:
    levels = {(type(level) is bool, level): level for level in dtype.categories.tolist()}

    def read(value: Any) -> Any:
        if isinstance(value, (list, dict)) or (key := (type(value) is bool, value)) not in levels:
            raise ValueError("it is none of the sample's categories")
        return levels[key]

    return read


def _whole_number_reader(dtype: Any) -> Callable[[Any], Any]:
    smallest, largest = whole_number_range(dtype)

    def read(value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)
        if type(value) is not int or not smallest <= value <= largest:
            raise ValueError(f"expected a whole number from {smallest} to {largest}")
        return value

    return read


def _time_reader(dtype: Any) -> Callable[[Any], Any]:
    import pandas as pd

    zone = getattr(dtype, "tz", None)
    make = pd.Timedelta if dtype.kind == "m" else pd.Timestamp
    begin = _DURATION if dtype.kind == "m" else _DATE
    unit = dtype.unit if zone is not None else dtype.name.rpartition("[")[2].rstrip("]")

    def read(value: Any) -> Any:
        if not isinstance(value, str) or not begin.match(value):
            raise ValueError("expected a text in ISO 8601")
        found = make(value)
        if found is pd.NaT:
            raise ValueError("expected a time, or null for a missing one")
        if zone is not None:
            found = found.tz_localize(zone) if found.tz is None else found.tz_convert(zone)
        elif getattr(found, "tz", None) is not None:
            raise ValueError("the sample's times have no zone: send it without one")
        return found.as_unit(unit, round_ok=False)

    return read


def _float_reader(dtype: Any) -> Callable[[Any], Any]:
    size_bytes = int(dtype.itemsize)
    largest = LARGEST_FLOATS.get(size_bytes, math.inf)

    def read(value: Any) -> float:
        if isinstance(value, str) and value in _NOT_FINITE:
            return _NOT_FINITE[value]
        if type(value) not in (int, float):
            raise ValueError("expected a number")
        if type(value) is int and size_bytes not in LARGEST_FLOATS and not keeps_digits(value):
            raise ValueError("it has more digits than a double keeps")  # smaller floats round, as the input type does
        number = float(value)
        if largest < abs(number) < math.inf:
            raise ValueError("it is out of range")
        return number

    return read


def _read_flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError("expected true or false")
    return value


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a text")
    return value
