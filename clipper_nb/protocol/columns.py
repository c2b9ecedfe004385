"""The columns of the data frame that an R function takes, read from a sample; each row is a JSON object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

ColumnType = Literal["integer", "double", "logical", "character", "factor", "Date", "POSIXct"]
COLUMN_TYPES: tuple[str, ...] = get_args(ColumnType)


@dataclass(frozen=True)
class Column:
    """One column's name and type.

    Attributes
    ----------
    name : str
    type : str
        R's name of the type.
    levels : tuple of str
        Levels of a factor, in order.
    is_ordered : bool
        Whether a factor is ordered.
    time_zone : str
        Time zone of a POSIXct, also used for times without one.
    """

    name: str
    type: ColumnType
    levels: tuple[str, ...] = ()
    is_ordered: bool = False
    time_zone: str = ""


def columns_schema(columns: Sequence[Column]) -> dict[str, Any] | None:
    """Return the JSON Schema of one row, in which ``null`` is NA and further names may be; ``None`` without columns.

    How times and dates are written is left to the replica.
    """
    if not columns:
        return None
    return {
        "type": "object",
        "properties": {column.name: {"anyOf": [*_values(column), {"type": "null"}]} for column in columns},
        "required": [column.name for column in columns],
    }


def _values(column: Column) -> list[dict[str, Any]]:
    if column.type == "factor":
        return [{"enum": list(column.levels)}]
    if column.type == "integer":
        return [{"type": "integer", "minimum": -(2**31) + 1, "maximum": 2**31 - 1}]
    if column.type == "double":
        return [{"type": "number"}, {"enum": ["NaN", "Inf", "-Inf"]}]
    return [{"type": "boolean" if column.type == "logical" else "string"}]
