"""One input of each type as JSON Schema 2020-12: what a predict request may have as ``input``. (pure)

``predict_schema.py`` decides what is accepted; this says the same to clients.
"""

from __future__ import annotations

from typing import Any

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.predict_schema import LARGEST_FLOAT32

_LARGEST_FLOAT64 = 1.7976931348623157e308
_BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"


def _list_of_floats(largest: float) -> dict[str, Any]:
    number = {"type": "number", "minimum": -largest, "maximum": largest}
    not_finite = {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}
    return {"type": "array", "items": {"anyOf": [number, not_finite, {"type": "null"}]}}


_SCHEMAS: dict[InputType, dict[str, Any]] = {
    InputType.BYTES: {"type": "string", "contentEncoding": "base64", "pattern": _BASE64},
    InputType.INTEGERS: {
        "type": "array",
        "items": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    },
    InputType.FLOATS: _list_of_floats(LARGEST_FLOAT32),
    InputType.DOUBLES: _list_of_floats(_LARGEST_FLOAT64),
    InputType.STRINGS: {"type": "string"},
    InputType.JSON: {},
}

_EXAMPLES: dict[InputType, Any] = {
    InputType.BYTES: "AAEC",
    InputType.INTEGERS: [1, 2, 3],
    InputType.FLOATS: [0.5, 1.0, 1.5],
    InputType.DOUBLES: [0.5, 1.0, 1.5],
    InputType.STRINGS: "a text",
    InputType.JSON: {"name": "value"},
}


def input_schema(input_type: InputType) -> dict[str, Any]:
    """Return the schema of one input, with a description of it."""
    return {**_SCHEMAS[input_type], "description": input_type.expectation}


def example_input(input_type: InputType) -> Any:
    """Return an input of that type, for applications whose model came without a sample."""
    return _EXAMPLES[input_type]
