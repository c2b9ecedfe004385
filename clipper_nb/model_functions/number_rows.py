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
