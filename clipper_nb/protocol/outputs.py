"""Encodes a model's outputs as text for the wire: one per input, in order. (pure)"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sized
from typing import Any

from clipper_nb.errors import PredictionError


def encode_outputs(outputs: Any, *, num_inputs: int) -> list[bytes]:
    """Return each output as UTF-8.

    Text stays as it is and bytes must be UTF-8; numbers, NumPy scalars and arrays, lists, dicts, booleans and ``None``
    become JSON.

    Raises
    ------
    PredictionError
        *outputs* is not a sequence of one output per input, or one of them has no text.
    """
    has_no_order = isinstance(outputs, (str, bytes, Mapping, set, frozenset))
    has_no_dimension = getattr(outputs, "ndim", 1) == 0
    if has_no_order or has_no_dimension or not isinstance(outputs, Iterable):
        raise PredictionError(
            f"The model returned {type(outputs).__name__}; it must return a list with one output per input."
        )
    if getattr(outputs, "ndim", 0) == 1 and hasattr(outputs, "tolist"):
        outputs = outputs.tolist()  # each of an array's own numbers would need an encoder
    elif not isinstance(outputs, Sized):
        outputs = list(outputs)
    if len(outputs) != num_inputs:
        raise PredictionError(
            f"The model returned {len(outputs)} outputs for {num_inputs} inputs; it must return one per input, in "
            "order."
        )
    return [_encode_output(output, position) for position, output in enumerate(outputs)]


def _encode_output(output: Any, position: int) -> bytes:
    try:
        if isinstance(output, str):
            return output.encode()
        if isinstance(output, bytes):
            output.decode()
            return output
        if isinstance(output, float) and math.isfinite(output):
            return float.__repr__(output).encode()  # the same text as JSON, without creating an encoder
        if type(output) is int:
            return int.__repr__(output).encode()
        return _as_json(output).encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise PredictionError(
            f"Output {position} of the model has type {type(output).__name__} and cannot be sent as text: {exc}"
        ) from exc


def _to_json(value: Any) -> Any:
    """Convert NumPy and pandas values, bytes and sets to what ``json`` can encode."""
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, pandas series
        return value.tolist()
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"a {type(value).__name__} is not a number, text, list or dict")


_as_json = json.JSONEncoder(default=_to_json, ensure_ascii=False).encode
