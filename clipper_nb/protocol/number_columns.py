"""The names of the numbers in an input, as its model knows them; rows that have names go by these. (pure)

Without names a row of a table is taken by position, and one whose columns are in another order gives a wrong answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clipper_nb.errors import InvalidInputError, InvalidRequestError
from clipper_nb.protocol.input_schemas import input_schema
from clipper_nb.protocol.input_types import InputType

_KEYWORD = "x-columns"
_MAX_NAMED = 30


def columns_schema(input_type: InputType, names: Sequence[str]) -> dict[str, Any]:
    """Return the JSON Schema of an input whose numbers have these names, in this order."""
    described = {key: value for key, value in input_schema(input_type).items() if key != "description"}
    return {**described, "minItems": len(names), "maxItems": len(names), _KEYWORD: list(names)}


def columns_of(schema: Mapping[str, Any] | None) -> Sequence[str] | None:
    """Return the names in a schema of :func:`columns_schema`; ``None`` if the numbers have none."""
    return None if schema is None else schema.get(_KEYWORD)


def check_columns(schema: Mapping[str, Any]) -> None:
    """Raise ``InvalidRequestError`` if a schema's names are not texts that differ."""
    names = columns_of(schema)
    if not isinstance(names, Sequence) or isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise InvalidRequestError(f"The schema of an input of numbers needs their names, texts, as '{_KEYWORD}'.")
    if not names or len(set(names)) < len(names):
        raise InvalidRequestError(f"The names of an input's numbers must differ; they are {_told(names)}.")


def names_in(value: Any) -> list[str] | None:
    """Return the names of a table's columns, or of a row of one; ``None`` where they are missing or numbers."""
    if hasattr(value, "column_names"):  # Arrow
        labels = value.column_names
    elif hasattr(value, "columns"):  # pandas, polars
        labels = value.columns
    elif hasattr(value, "iloc"):
        labels = value.index  # a Series
    elif isinstance(value, tuple):
        labels = getattr(value, "_fields", None)  # a row of itertuples()
    else:
        labels = getattr(getattr(value, "dtype", None), "names", None)  # NumPy's records
    names = list(labels) if labels is not None else []
    return names if names and all(isinstance(name, str) for name in names) else None


def has_names(inputs: Any, *, is_batch: bool) -> bool:
    """Return whether an input, or one of a batch, is a row or table with names."""
    if names_in(inputs) is not None:
        return True
    return is_batch and isinstance(inputs, (list, tuple)) and any(names_in(row) is not None for row in inputs)


def as_known(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Return the names with those in the model's spelling that LightGBM changed: it keeps a space as ``_``."""
    spelled = [name.replace(" ", "_") for name in names]
    return [
        new if name not in wanted and new in wanted and new not in names else name
        for name, new in zip(names, spelled, strict=True)
    ]


def in_order(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return where in *names* each wanted name is; other names are left out.

    Raises
    ------
    InvalidInputError
        One is missing, or is there twice.
    """
    names = as_known(names, wanted)
    missing = [name for name in wanted if name not in names]
    if missing:
        raise InvalidInputError(
            f"The model takes {_told(wanted)}, by name; {_told(missing)} {'is' if len(missing) == 1 else 'are'} "
            f"missing in {_told(names)}. Rename the columns, or pass .to_numpy() if the order is meant."
        )
    twice = next((name for name in wanted if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidInputError(f"Two columns have the name '{twice}', which the model takes once. Leave one out.")
    return [names.index(name) for name in wanted]


def row_in_order(row: Any, wanted: Sequence[str] | None) -> Any:
    """Return a row that has names as a list in the wanted order, and another input as it is.

    It is a Series, a named tuple, or a record of NumPy.
    """
    names = names_in(row) if wanted is not None and not hasattr(row, "columns") else None
    if names is None or wanted is None:
        return row
    values = row if isinstance(row, tuple) else row.tolist()
    return [values[position] for position in in_order(names, wanted)]


def describe_columns(names: Sequence[str]) -> str:
    """Return what an input is: ``"a list of 2 numbers: age, fare"``."""
    return f"a list of {len(names)} {'number' if len(names) == 1 else 'numbers'}: {_told(names)}"


def _told(names: Sequence[str]) -> str:
    more = [f"… ({len(names)} in all)"] if len(names) > _MAX_NAMED else []
    return ", ".join([*map(str, names[:_MAX_NAMED]), *more])
