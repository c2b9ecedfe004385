"""Values of NumPy, pandas and other libraries as Python's own; no library is imported for it. (pure)"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

from clipper_nb.protocol.library_times import (
    arrow_value,
    arrow_values,
    iso_duration,
    pandas_arrow_values,
    polars_values,
)

_BUILTIN_KINDS = "biufUTSO"
"""Kinds of NumPy's arrays whose elements ``tolist()`` returns as Python's own; not so a ``longdouble``."""
_FRACTIONS_PER_S = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9, "ps": 10**12, "fs": 10**15, "as": 10**18}
_SECONDS = {"W": 604_800, "D": 86_400, "h": 3600, "m": 60}
_METHODS = ("tolist", "to_list", "to_pylist", "as_py", "toArray", "toarray", "to_numpy", "numpy", "item")
"""How libraries call what returns a value as Python's own, or as an array of NumPy."""


def unwrapped(value: Any) -> Any:
    """Return a value of a library one step closer to Python's own; the same object if no library is known for it.

    Arrays and columns become lists, frames lists of dicts, named rows dicts, missing values ``None``.
    """
    convert = _conversion_of(type(value))  # type: ignore[arg-type]  # mypy takes type.__hash__ for an instance's
    return value if convert is None else convert(value)


def unwrapped_by_method(value: Any) -> Any:
    """Return what a value of any other library returns as Python's own; the same object if it has no such method."""
    for method in _METHODS:
        if callable(getattr(type(value), method, None)):
            return getattr(value, method)()
    return value


@functools.lru_cache(maxsize=256)
def _conversion_of(kind: type) -> Callable[[Any], Any] | None:
    if kind.__name__ in ("NaTType", "NAType") and kind.__module__.startswith("pandas"):
        return _of_missing
    return next((convert for module, name, convert in _CONVERSIONS if _is_subclass(kind, module, name)), None)


def is_instance(value: Any, module: str, name: str) -> bool:
    """Return whether *value* is of a library's class; a library that was not imported has no values here."""
    return _is_subclass(type(value), module, name)


def _is_subclass(kind: type, module: str, name: str) -> bool:
    wanted = getattr(sys.modules.get(module), name, None)
    return isinstance(wanted, type) and issubclass(kind, wanted)


def is_frame(value: Any) -> bool:
    """Return whether *value* is a table whose rows are known how to be read."""
    return any(is_instance(value, module, name) for module, name, _ in _FRAMES)


def is_column(value: Any) -> bool:
    """Return whether *value* is an array, a matrix or a column of a library."""
    num_dimensions = getattr(value, "ndim", 0)
    return (isinstance(num_dimensions, int) and num_dimensions > 0) or any(
        is_instance(value, module, name) for module, name in _COLUMNS
    )


def dense(value: Any) -> Any:
    """Return a sparse matrix with all its elements, and anything else as it is."""
    return value.toarray() if any(is_instance(value, *kind) for kind in _SPARSE) else value


# --- NumPy


def _of_array(array: Any) -> Any:
    if _is_builtin(array):
        return array.tolist()
    return array[()] if array.ndim == 0 else list(array)


def _of_masked_array(array: Any) -> Any:
    if array.dtype.names:
        return dict(zip(array.dtype.names, array, strict=True)) if array.ndim == 0 else list(array)
    return array.tolist() if _is_builtin(array) or array.ndim == 0 else list(array)


def _is_builtin(array: Any) -> bool:
    return array.dtype.kind in _BUILTIN_KINDS and not (array.dtype.kind == "f" and array.dtype.itemsize > 8)


def _of_time(value: Any) -> str | None:
    """Return a ``datetime64`` as ISO 8601, with as many digits as ``isoformat()`` writes."""
    text = str(value)
    if text == "NaT":
        return None
    if _unit(value)[0] in ("h", "m"):
        return str(value.astype("datetime64[s]"))
    whole, _, fraction = text.partition(".")
    digits = fraction.rstrip("0")
    num_digits = max(6, -(-len(digits) // 3) * 3)
    return f"{whole}.{digits.ljust(num_digits, '0')}" if digits else whole


def _of_duration(value: Any) -> Any:
    """Return a ``timedelta64`` as ISO 8601; one without a unit as its number."""
    if str(value) == "NaT":
        return None
    unit, step = _unit(value)
    count = step * int(value.astype("int64"))
    if unit in _FRACTIONS_PER_S:
        return iso_duration(count, _FRACTIONS_PER_S[unit])
    if unit in _SECONDS:
        return iso_duration(count * _SECONDS[unit], 1)
    return count if unit == "generic" else f"{'-' if count < 0 else ''}P{abs(count)}{unit}"


def _unit(value: Any) -> tuple[str, int]:
    unit, step = sys.modules["numpy"].datetime_data(value.dtype)
    return unit, step


def _of_record(value: Any) -> Any:
    names = value.dtype.names
    return {name: value[name] for name in names} if names else value


def _by_tolist(value: Any) -> Any:
    return value.tolist()


# --- pandas


def _of_missing(_value: Any) -> None:
    return None


def _of_column(column: Any) -> list[Any]:
    """Return the values in order; a NaN stands for a missing value, except among floats."""
    precise = pandas_arrow_values(column)
    values: list[Any] = column.tolist() if precise is None else precise
    if getattr(column.dtype, "kind", "O") in "biuf":
        return values
    return [None if isinstance(value, float) and value != value else value for value in values]


def _of_timedelta(value: Any) -> str:
    parts = value.components
    seconds = ((parts.days * 24 + parts.hours) * 60 + parts.minutes) * 60 + parts.seconds
    fraction = (parts.milliseconds * 1000 + parts.microseconds) * 1000 + parts.nanoseconds
    return iso_duration(seconds * 10**9 + fraction, 10**9)


def _of_pandas_frame(frame: Any) -> list[dict[Any, Any]]:
    columns = [_of_column(frame.iloc[:, number]) for number in range(frame.shape[1])]
    return _rows(list(frame.columns), columns, len(frame))


# --- other frames, rows and matrices


def _of_polars_frame(frame: Any) -> list[dict[Any, Any]]:
    return _rows(frame.columns, list(map(polars_values, frame.get_columns())), frame.height)


def _of_arrow_table(table: Any) -> list[dict[Any, Any]]:
    return _rows(table.schema.names, list(map(arrow_values, table.columns)), table.num_rows)


def _rows(names: Sequence[Any], columns: Sequence[list[Any]], num_rows: int) -> list[dict[Any, Any]]:
    if len(set(names)) < len(names):
        twice = next(name for name in names if list(names).count(name) > 1)
        raise TypeError(f"two of its columns have the name {twice!r}; rename one")
    if not columns:
        return [{} for _ in range(num_rows)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _of_spark_row(row: Any) -> Any:
    names = getattr(row, "__fields__", None)
    return list(row) if names is None else _rows(names, [[value] for value in row], 1)[0]


def _of_sqlite_row(row: Any) -> Any:
    return _rows(row.keys(), [[value] for value in row], 1)[0]


def _of_sparse(matrix: Any) -> Any:
    """Return a sparse matrix as its rows; one that is a row, as SciPy returns ``m[0]``, as that row."""
    rows = matrix.toarray()
    return rows[0] if rows.ndim == 2 and rows.shape[0] == 1 else rows


def _of_tensor(tensor: Any) -> Any:
    """Return a tensor of PyTorch as nested lists, also one that stores its elements in a way of its own."""
    if tensor.is_nested:
        return list(tensor.unbind())
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    return (tensor.to_dense() if tensor.layout is not sys.modules["torch"].strided else tensor).tolist()


def _of_pydantic_model(model: Any) -> Any:
    return model.model_dump() if hasattr(model, "model_dump") else model.dict()


_Conversion = tuple[str, str, Callable[[Any], Any]]
_FRAMES: tuple[_Conversion, ...] = (
    ("pandas", "DataFrame", _of_pandas_frame),
    ("polars", "DataFrame", _of_polars_frame),
    ("pyarrow", "Table", _of_arrow_table),
    ("pyarrow", "RecordBatch", _of_arrow_table),
)
_COLUMNS = (("polars", "Series"), ("pyarrow", "Array"), ("pyarrow", "ChunkedArray"))
"""Those without ``ndim``."""
_SPARSE = (("scipy.sparse", "spmatrix"), ("scipy.sparse", "sparray"))
_CONVERSIONS: tuple[_Conversion, ...] = (
    ("numpy.ma", "MaskedArray", _of_masked_array),
    ("numpy", "ndarray", _of_array),
    ("numpy", "datetime64", _of_time),
    ("numpy", "timedelta64", _of_duration),
    ("numpy", "void", _of_record),
    ("numpy", "generic", _by_tolist),
    *_FRAMES,
    ("pandas", "Series", _of_column),
    ("pandas", "Index", _of_column),
    ("pandas.api.extensions", "ExtensionArray", _of_column),
    ("pandas", "Timedelta", _of_timedelta),
    ("polars", "Series", polars_values),
    ("pyarrow", "Array", arrow_values),
    ("pyarrow", "ChunkedArray", arrow_values),
    ("pyarrow", "Scalar", arrow_value),
    ("torch", "Tensor", _of_tensor),
    ("pyspark.sql", "Row", _of_spark_row),
    ("sqlite3", "Row", _of_sqlite_row),
    *((module, name, _of_sparse) for module, name in _SPARSE),
    ("pydantic", "BaseModel", _of_pydantic_model),
    ("pydantic.v1", "BaseModel", _of_pydantic_model),
)
"""By module and class, the first that fits."""
