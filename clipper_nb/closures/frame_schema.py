"""The JSON Schema of rows like those of a data frame of pandas. (pure)"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from clipper_nb.errors import InvalidRequestError
from clipper_nb.model_functions.frame_reader import is_nullable, whole_number_range
from clipper_nb.protocol.json_schema import LOCAL_TIME
from clipper_nb.protocol.number_columns import as_known

_SCALARS = (str, bool, int, float)
_WITHOUT_JSON = ("ArrowDtype", "IntervalDtype", "PeriodDtype", "SparseDtype")


def in_fitted_order(sample: Any, fitted: Sequence[str] | None) -> Any:
    """Return a data frame with the columns that a model was fitted with first, in their order.

    LightGBM takes the columns of a data frame by position, and says nothing when another is there. What is no data
    frame of pandas, or lacks a column, is returned as it is.
    """
    if fitted is None or not hasattr(sample, "iloc") or not all(isinstance(name, str) for name in sample.columns):
        return sample
    names = as_known(list(sample.columns), fitted)
    if not set(fitted) <= set(names):
        return sample
    positions = [names.index(name) for name in fitted]
    others = [position for position in range(len(names)) if position not in positions]
    return sample.iloc[:, [*positions, *others]]


def frame_schema(sample: Any) -> dict[str, Any]:
    """Return the schema of one row; further names are allowed, and ignored.

    Raises
    ------
    InvalidRequestError
        A name is no text or is there twice, or a column has a dtype that JSON has no values for.
    """
    names = list(sample.columns)
    if not names or len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
        raise InvalidRequestError(
            f"The columns of sample_inputs need names that are text and differ; they are {names}."
        )
    return {
        "type": "object",
        "properties": {name: _column_schema(name, sample[name]) for name in names},
        "required": names,
    }


def _column_schema(name: str, column: Any) -> dict[str, Any]:
    schema = _values_schema(name, column)
    if not is_nullable(column.dtype) or not schema:
        return schema
    if "enum" in schema:
        return {"enum": [*schema["enum"], None]}
    return {"anyOf": [*schema.get("anyOf", [schema]), {"type": "null"}]}


def _values_schema(name: str, column: Any) -> dict[str, Any]:
    dtype = column.dtype
    if hasattr(dtype, "categories"):
        return {"enum": _levels(name, dtype.categories.tolist())}
    if type(dtype).__name__ in _WITHOUT_JSON:
        raise _unknown(name, dtype)
    if dtype.kind in "iu":
        smallest, largest = whole_number_range(dtype)
        return {"type": "integer", "minimum": smallest, "maximum": largest}
    if dtype.kind == "f":
        return {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
    if dtype.kind == "b":
        return {"type": "boolean"}
    if dtype.kind == "M":
        kind = LOCAL_TIME if getattr(dtype, "tz", None) is None else "date-time"
        return {"anyOf": [{"type": "string", "format": each} for each in (kind, "date")]}
    if dtype.kind == "m":
        return {"type": "string", "format": "duration"}
    if str(dtype) == "object":
        return {"type": "string"} if _are_texts(column) else {}
    if str(dtype).startswith(("str", "string")):
        return {"type": "string"}
    raise _unknown(name, dtype)


def _unknown(name: str, dtype: Any) -> InvalidRequestError:
    return InvalidRequestError(
        f"The column '{name}' of sample_inputs has the dtype {dtype}, which values of JSON do not become. Convert the "
        "column in the sample, and back in the function."
    )


def _levels(name: str, levels: Sequence[Any]) -> Sequence[Any]:
    if not all(isinstance(level, _SCALARS) and not _is_not_finite(level) for level in levels):
        raise InvalidRequestError(
            f"The categories of the column '{name}' of sample_inputs are neither texts nor numbers: {levels[:5]}."
        )
    return levels


def _is_not_finite(level: Any) -> bool:
    return isinstance(level, float) and not math.isfinite(level)


def _are_texts(column: Any) -> bool:
    values: list[Any] = column.dropna().tolist()
    return bool(values) and all(isinstance(value, str) for value in values)
