"""Converts a batch of inputs as a notebook holds it into their JSON values: lists, arrays, Series, data frames. (pure)

Libraries are recognised by what their objects have, so none of them is imported here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.frame_rows import (
    Columns,
    find_columns,
    find_missing_step,
    rows_as_objects,
    rows_as_text,
    rows_as_vectors,
)
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import format_input
from clipper_nb.protocol.number_columns import in_order, names_in, row_in_order
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS

_NO_BATCHES = (str, bytes, bytearray, memoryview, Mapping, set, frozenset)


def check_batch(batch: Any, name: str, *, is_one_request: bool = True) -> Any:
    """Return a batch that can be read twice; *name* is the argument's.

    Of an iterator no more is taken than shows that *one request* has too many.

    Raises
    ------
    InvalidInputError
        It is no batch: one text, a dict, a set, a single number, or a table that is not computed yet.
    """
    if isinstance(batch, Iterator):
        return list(itertools.islice(batch, MAX_BATCH_INPUTS + 1 if is_one_request else None))
    missing_step = find_missing_step(batch)
    if missing_step is None and not isinstance(batch, _NO_BATCHES) and _can_be_iterated(batch):
        return batch
    raise InvalidInputError(
        f"{name} must be a list of inputs, or another sequence of inputs such as a 2-D array, a data frame or a "
        f"Series, not {type(batch).__name__}. {missing_step or _way_out(batch)}".rstrip()
    )


def format_batch(input_type: InputType, batch: Any, columns: Sequence[str] | None = None) -> list[Any]:
    """Return the JSON values of a checked batch, in order.

    A row of a data frame is a vector, for ``json`` an object, or for ``strings`` the text of one. Other batches are
    iterated: a list, a Series, the rows of a 2-D array. *columns* are the names of an input's numbers, if the model
    knows them: rows that have names are put in that order.

    Raises
    ------
    InvalidInputError
        An input has no such form; the message says which, or names the column.
    """
    found = find_columns(batch)
    if found is not None:
        names = None if columns is None else names_in(batch)
        in_their_order = found if names is None else [found[position] for position in in_order(names, columns or ())]
        return _format_rows(input_type, in_their_order)
    inputs = []
    for position, value in enumerate(batch.to_pylist() if hasattr(batch, "to_pylist") else batch):
        try:
            inputs.append(format_input(input_type, row_in_order(value, columns)))
        except InvalidInputError as exc:
            raise InvalidInputError(f"Input {position} of the batch: {exc}") from exc
    return inputs


def _format_rows(input_type: InputType, columns: Columns) -> list[Any]:
    if input_type is InputType.BYTES:
        raise InvalidInputError("The rows of a data frame are not bytes. Pass the column that has them: df['image'].")
    if not columns:
        raise InvalidInputError("The data frame has no columns, so its rows are no inputs.")
    if input_type is InputType.JSON:
        return rows_as_objects(columns)
    return rows_as_text(columns) if input_type is InputType.STRINGS else rows_as_vectors(input_type, columns)


def _can_be_iterated(value: Any) -> bool:
    try:
        iter(value)
    except TypeError:
        return False
    return True


def _way_out(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            "For one JSON row pass [row], or [json.dumps(row)] where inputs are strings; for columns pass "
            "pandas.DataFrame(columns)."
        )
    if isinstance(value, (str, bytes, bytearray, memoryview)):
        return "For one input use predict(), or put it into a list."
    return "Sets have no order: pass a list." if isinstance(value, (set, frozenset)) else ""
