"""Converts inputs between three forms: JSON value, payload bytes on the wire, argument of the model's function.

The query frontend needs only the first step, so only the model container imports NumPy.
"""

from __future__ import annotations

import base64
import functools
import sys
from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clipper_nb.errors import InvalidInputError, ProtocolError
from clipper_nb.protocol.input_types import InputType

if TYPE_CHECKING:
    import numpy as np

    ModelInput = np.ndarray[Any, np.dtype[Any]] | str

_ARRAY_CODES = {InputType.INTEGERS: "i", InputType.FLOATS: "f", InputType.DOUBLES: "d"}
_DTYPE_NAMES = {
    InputType.BYTES: "<i1",
    InputType.INTEGERS: "<i4",
    InputType.FLOATS: "<f4",
    InputType.DOUBLES: "<f8",
}
_LITTLE_ENDIAN = sys.byteorder == "little"


def encode_input(input_type: InputType, value: Any) -> bytes:
    """Return the payload of one checked value: a list of numbers, text, or ``bytes`` for the bytes type."""
    code = _ARRAY_CODES.get(input_type)
    if code is None:
        return str(value).encode() if input_type is InputType.STRINGS else bytes(value)
    numbers = array(code, value)
    if not _LITTLE_ENDIAN:
        numbers.byteswap()
    return numbers.tobytes()


def decode_input(input_type: InputType, payload: bytes | memoryview) -> ModelInput:
    """Return the function's argument for one payload, as :func:`decode_inputs` does for several."""
    return decode_inputs(input_type, (payload,))[0]


def decode_inputs(input_type: InputType, payloads: Sequence[bytes | memoryview]) -> list[ModelInput]:
    """Return the function's argument for each payload: a read-only 1-D array, or text.

    Raises
    ------
    ProtocolError
        A payload is not a whole number of elements, or not UTF-8.
    """
    if input_type is InputType.STRINGS:
        return [_decode_text(payload) for payload in payloads]
    dtype, from_buffer = _numpy_for(input_type)
    item_size_bytes = input_type.item_size_bytes
    inputs: list[ModelInput] = []
    for payload in payloads:
        if len(payload) % item_size_bytes:
            raise ProtocolError(
                f"An input of type {input_type} has {len(payload)} bytes, not a multiple of {item_size_bytes}"
            )
        decoded: np.ndarray[Any, Any] = from_buffer(payload, dtype)
        if not isinstance(payload, bytes):
            decoded.flags.writeable = False
        inputs.append(decoded)
    return inputs


def _decode_text(payload: bytes | memoryview) -> str:
    try:
        return str(payload, "utf-8")
    except UnicodeDecodeError as exc:
        raise ProtocolError(f"A text input is not UTF-8: {exc}") from exc


@functools.cache
def _numpy_for(input_type: InputType) -> tuple[Any, Any]:
    """Return the type of the numbers and ``numpy.frombuffer``."""
    import numpy as np

    return np.dtype(_DTYPE_NAMES[input_type]), np.frombuffer


def format_input(input_type: InputType, value: Any) -> Any:
    """Return the JSON value of a notebook's input: arrays and sequences become lists, bytes base64.

    Raises
    ------
    InvalidInputError
        *value* has no such form; the query frontend checks the numbers.
    """
    if input_type is InputType.STRINGS:
        if isinstance(value, str):
            return str(value)  # elements of NumPy's arrays of text have their own type
    elif input_type is InputType.BYTES:
        if hasattr(value, "tobytes"):
            value = value.tobytes()
        if isinstance(value, (bytes, bytearray, memoryview)):
            return base64.b64encode(value).decode("ascii")
    else:
        if hasattr(value, "tolist"):
            value = value.tolist()
        if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
            numbers = [
                item.item() if hasattr(item, "item") and not hasattr(item, "__len__") else item for item in value
            ]
            if numbers and hasattr(numbers[0], "__len__") and not isinstance(numbers[0], str):
                raise InvalidInputError(
                    "One input is a 1-D array or list of numbers, and this one has more dimensions. For several inputs "
                    "use predict_batch(); flatten an image or a table first."
                )
            return numbers
    expected = {InputType.STRINGS: "str", InputType.BYTES: "bytes or an array of them"}.get(
        input_type, "a 1-D array or list of numbers"
    )
    raise InvalidInputError(f"An input of type {input_type} must be {expected}, not {type(value).__name__}.")
