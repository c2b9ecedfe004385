"""Encodes a model's outputs as text for the wire: one per input, in order. (pure)

The only way from what a model returned to answers, for each kind of model, in the notebook and in replicas. What an
output becomes depends on its type alone (docs/protocol.md, section 1).
"""

from __future__ import annotations

import math
from typing import Any, Final

from clipper_nb.errors import PredictionError
from clipper_nb.protocol.json_values import NoJsonError, json_encoder, to_json_value
from clipper_nb.protocol.non_finite import quote_non_finite
from clipper_nb.protocol.output_batch import as_batch, wrong_number

_finite_json: Final = json_encoder(allow_nan=False)
_json: Final = json_encoder(allow_nan=True)


def encode_outputs(outputs: Any, *, num_inputs: int, text_outputs: str = "json") -> list[bytes]:
    """Return each output as UTF-8.

    Text stays as it is, so that it is read as JSON where it is JSON; with *text_outputs* ``"text"`` it becomes a JSON
    string. Everything else becomes JSON by its type.

    Raises
    ------
    PredictionError
        *outputs* is not a sequence of one output per input, or one of them has no JSON; the error says what to return.
    """
    batch = outputs if type(outputs) is list else as_batch(outputs, num_inputs)
    if len(batch) != num_inputs:
        raise wrong_number(len(batch), num_inputs)
    is_text = text_outputs == "text"
    return [_encode_output(output, position, is_text) for position, output in enumerate(batch)]


def _encode_output(output: Any, position: int, is_text: bool) -> bytes:
    kind = type(output)
    try:
        if kind is str and not is_text:
            return str.encode(output)
        if kind is int:
            return int.__repr__(output).encode()
        if isinstance(output, float) and math.isfinite(output):
            return float.__repr__(output).encode()  # the same text as JSON, without creating an encoder
        if isinstance(output, str):
            return (_json(str.__str__(output)) if is_text else str.__str__(output)).encode()
        if isinstance(output, (bytes, bytearray)) and not is_text:
            return str.encode(to_json_value(output))
        plain = to_json_value(output)
        return (int.__repr__(plain) if type(plain) is int else _encode_json(plain)).encode()
    except NoJsonError as exc:
        raise _refusal(output, position, f"{''.join(exc.path[:4])} {exc}".strip()) from exc
    except (TypeError, ValueError, AttributeError, RuntimeError, RecursionError) as exc:  # of a value's own methods
        raise _refusal(output, position, str(exc)) from exc


def _encode_json(value: Any) -> str:
    try:
        return _finite_json(value)
    except ValueError:
        return quote_non_finite(_json(value))


def _refusal(output: Any, position: int, reason: str) -> PredictionError:
    return PredictionError(
        f"Output {position} of the model has type {type(output).__name__} and cannot be sent as text: {reason}."
    )
