"""Times and durations as ISO 8601, and columns of polars and Arrow with the nanoseconds that lists lose. (pure)"""

from __future__ import annotations

import datetime
import sys
from typing import Any


def iso_time(value: datetime.datetime | datetime.time, nanoseconds: int = 0) -> str:
    """Return a time with its offset, UTC as ``Z``, and with as many more *nanoseconds*, fewer than 1000."""
    text = value.isoformat(timespec="microseconds" if nanoseconds else "auto")
    if nanoseconds:
        end = text.index(".") + 7
        text = f"{text[:end]}{nanoseconds:03d}{text[end:]}"
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def iso_duration(ticks: int, ticks_per_s: int) -> str:
    """Return a duration as ISO 8601, in days, hours, minutes and seconds: ``P1DT2H3M4.5S``."""
    seconds, fraction = divmod(abs(ticks), ticks_per_s)
    days, seconds = divmod(seconds, 86_400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    digits = f"{fraction:0{len(str(ticks_per_s)) - 1}d}".rstrip("0") if fraction else ""
    clock = [f"{hours}H" if hours else "", f"{minutes}M" if minutes else ""]
    if seconds or digits or not (days or hours or minutes):
        clock.append(f"{seconds}{'.' if digits else ''}{digits}S")
    time = "".join(clock)
    return f"{'-' if ticks < 0 else ''}P{f'{days}D' if days else ''}{f'T{time}' if time else ''}"


def polars_values(series: Any) -> list[Any]:
    """Return the values of a polars series in order; of times and durations in nanoseconds their text."""
    dtype = series.dtype
    kind, name = type(dtype).__name__, str(dtype)
    if "'ns'" not in name and "Time" not in name:
        return series.to_list()  # type: ignore[no-any-return]
    if kind in ("List", "Array"):
        return [None if part is None else polars_values(part) for part in series]
    if kind == "Struct":
        return _structs(series, [field.name for field in dtype.fields])
    if kind == "Time":
        return [None if count is None else _time_of_day(count) for count in series.to_physical().to_list()]
    if kind == "Duration":
        return [None if count is None else iso_duration(count, 10**9) for count in series.to_physical().to_list()]
    return _times(series) if kind == "Datetime" else series.to_list()


def _times(series: Any) -> list[Any]:
    ticks = series.to_physical()
    whole = (ticks // 1000).cast(type(series.dtype)("us", series.dtype.time_zone))
    return [
        None if time is None else iso_time(time, count % 1000)
        for time, count in zip(whole.to_list(), ticks.to_list(), strict=True)
    ]


def _structs(series: Any, names: list[str]) -> list[Any]:
    columns = [polars_values(series.struct.field(name)) for name in names]
    rows = zip(*columns, strict=True)
    return [
        None if is_null else dict(zip(names, row, strict=True))
        for is_null, row in zip(series.is_null().to_list(), rows, strict=True)
    ]


def arrow_values(array: Any) -> list[Any]:
    """Return the values of an Arrow array in order; of times of day in nanoseconds their text."""
    if "time64[ns]" not in str(array.type):
        return array.to_pylist()  # type: ignore[no-any-return]
    return [arrow_value(scalar) for scalar in array]


def arrow_value(scalar: Any) -> Any:
    """Return the value of an Arrow scalar; other scalars with nanoseconds are values of pandas, which has them."""
    if "time64[ns]" not in str(scalar.type) or not scalar.is_valid:
        return scalar.as_py()
    if hasattr(scalar, "values") and hasattr(scalar.values, "to_pylist"):  # of a list
        return arrow_values(scalar.values)
    if hasattr(scalar, "items"):
        return {name: arrow_value(part) for name, part in scalar.items()}
    if hasattr(scalar, "dictionary"):
        return arrow_value(scalar.dictionary[scalar.index.as_py()])
    return _time_of_day(scalar.value) if isinstance(scalar.value, int) else scalar.as_py()


def pandas_arrow_values(column: Any) -> list[Any] | None:
    """Return the values of a pandas column that Arrow holds, if pandas loses their nanoseconds; else ``None``."""
    name = str(column.dtype)
    if not name.endswith("[pyarrow]") or "time64[ns]" not in name:
        return None
    return arrow_values(sys.modules["pyarrow"].chunked_array(getattr(column, "array", column).__arrow_array__()))


def _time_of_day(nanoseconds: int) -> str:
    micros, rest = divmod(nanoseconds, 1000)
    seconds, micros = divmod(micros, 10**6)
    return iso_time(datetime.time(seconds // 3600, seconds // 60 % 60, seconds % 60, micros), rest)
