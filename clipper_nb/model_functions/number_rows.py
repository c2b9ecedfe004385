"""Inputs of numbers as the rows of one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def stack_rows(inputs: Sequence[Any]) -> Any:
    """Return a 2-D array with one row per input, of shape (inputs, numbers of each) and of the inputs' dtype.

    Raises
    ------
    ValueError
        The inputs have different lengths.
    """
    import numpy as np

    lengths = sorted({len(row) for row in inputs})
    if len(lengths) > 1:
        raise ValueError(f"inputs of different lengths make no table: {', '.join(map(str, lengths))} numbers")
    return np.stack(inputs)


def convert_rows(rows: Any, dtype: str) -> Any:
    """Return an array of numbers in the dtype of a model's input; only fractions are rounded.

    Raises
    ------
    ValueError
        A number would become infinite, lose digits of a whole number, or lose its fraction.
    """
    import numpy as np

    wanted = np.dtype(dtype)
    if np.can_cast(rows.dtype, wanted):
        return rows.astype(wanted)
    with np.errstate(over="ignore", invalid="ignore"):
        converted = rows.astype(wanted)
        if rows.dtype.kind == wanted.kind == "f":
            is_changed = np.isinf(converted) & np.isfinite(rows)
        else:
            is_changed = converted.astype(rows.dtype) != rows
    if is_changed.any():
        raise ValueError(
            f"the model takes {dtype}, which has no value for the number {rows[is_changed][0]} of an input"
        )
    return converted
