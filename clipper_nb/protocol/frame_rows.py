"""The rows of data frames (pandas, polars, Arrow) as inputs: vectors of numbers, JSON objects, or their text. (pure)

Libraries are recognised by what their objects have, so none of them is imported here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import format_numbers, is_missing
from clipper_nb.protocol.library_times import arrow_values, polars_values
from clipper_nb.protocol.library_values import unwrapped

Columns = Sequence[tuple[str, list[Any]]]
"""Names and cells."""

_PLAIN = {str, int, bool, type(None)}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def find_columns(value: Any) -> Columns | None:
    """Return the columns of a data frame; ``None`` if *value* is none."""
    if hasattr(value, "iter_rows") and hasattr(value, "get_columns"):  # polars
        return [(str(column.name), polars_values(column)) for column in value.get_columns()]
    if hasattr(value, "column_names") and hasattr(value, "to_pylist"):  # Arrow
        names = map(str, value.column_names)
        return [(name, arrow_values(column)) for name, column in zip(names, value.columns, strict=True)]
    if hasattr(value, "iloc") and hasattr(value, "columns"):  # pandas, and those with its methods
        return [(str(name), value.iloc[:, position].tolist()) for position, name in enumerate(value.columns)]
    return None


def find_missing_step(value: Any) -> str | None:
    """Return what to do with a data frame whose rows are not in this process; ``None`` if *value* is none."""
    if hasattr(value, "toLocalIterator"):
        return "Use predict_dataframe(), or pass df.toPandas()."
    kind = type(value)
    if hasattr(kind, "columns") or hasattr(kind, "collect_schema"):  # of the type: to read it may compute the table
        for name in ("collect", "compute"):
            if hasattr(value, name):
                return f"Pass what its {name}() returns."
    return None


def rows_as_vectors(input_type: InputType, columns: Columns) -> list[list[Any]]:
    """Return each row as the JSON value of a numeric input.

    Raises
    ------
    InvalidInputError
        A cell is no number of that type; the message names column and row.
    """
    return list(map(list, zip(*(_numbers(input_type, name, cells) for name, cells in columns), strict=True)))


def rows_as_text(columns: Columns) -> list[str]:
    """Return each row as the text of a JSON object: times in ISO 8601, and ``null`` for what is missing or NaN.

    Raises
    ------
    InvalidInputError
        Two columns have one name, or a cell has no JSON.
    """
    names = [name for name, _ in columns]
    if len({*names}) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInputError(f"Two columns have the name '{twice}', so a row is no JSON object. Rename one.")
    return [_object(names, row, position) for position, row in enumerate(zip(*map(_json_cells, columns), strict=True))]


def rows_as_objects(columns: Columns) -> list[Any]:
    """Return each row as a JSON object, with the values of :func:`rows_as_text`; raises the same errors."""
    return list(map(_decode, rows_as_text(columns)))


def _numbers(input_type: InputType, name: str, cells: list[Any]) -> list[Any]:
    wanted = (int,) if input_type is InputType.INTEGERS else (int, float)
    try:
        numbers = format_numbers(input_type, cells)
    except InvalidInputError as exc:
        raise InvalidInputError(f"Column '{name}' has a row that is no {input_type}: {exc}") from exc
    if {*map(type, cells)} <= {*wanted}:
        return numbers
    for row, (cell, number) in enumerate(zip(cells, numbers, strict=True)):
        if isinstance(number, wanted) and not isinstance(number, bool):
            continue
        if number is not None and (not isinstance(number, str) or isinstance(cell, str)):
            raise InvalidInputError(
                f"Column '{name}' has {cell!r} ({type(cell).__name__}) in row {row}, and an input of type "
                f"{input_type} is a row of numbers. Convert or leave out the column; or deploy with input type "
                "'json', which gets each row as an object."
            )
    return numbers


def _json_cells(column: tuple[str, list[Any]]) -> list[Any]:
    _, cells = column
    return cells if {*map(type, cells)} <= _PLAIN else [_json_cell(cell) for cell in cells]


def _json_cell(cell: Any) -> Any:
    """Return a cell as the encoder takes it; it writes NaN as ``null``."""
    cell = unwrapped(cell)
    if hasattr(cell, "tolist"):
        cell = cell.tolist()
    if is_missing(cell) or type(cell).__name__ == "NaTType":
        return None
    if isinstance(cell, float):
        return cell if not math.isinf(cell) else "Infinity" if cell > 0 else "-Infinity"
    if isinstance(cell, (list, tuple)):
        return [_json_cell(item) for item in cell]
    if isinstance(cell, Mapping):
        return {str(key): _json_cell(item) for key, item in cell.items()}
    return cell.isoformat() if hasattr(cell, "isoformat") else cell


def _object(names: list[str], row: Sequence[Any], position: int) -> str:
    try:
        return _encode(dict(zip(names, row, strict=True))).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise InvalidInputError(f"Row {position} of the data frame cannot be written as JSON: {exc}.") from exc
