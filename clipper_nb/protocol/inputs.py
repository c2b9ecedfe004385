"""Converts inputs between three forms: JSON value, payload bytes on the wire, argument of the model's function.

The query frontend needs only the first step, so only the model container imports NumPy.
"""

from __future__ import annotations

import base64
import functools
import math
import sys
from array import array
from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from clipper_nb.errors import InvalidInputError, ProtocolError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.json_inputs import UnreadableJsonError, as_json_input, read_json
from clipper_nb.protocol.whole_numbers import check_whole_numbers, may_be_rounded

if TYPE_CHECKING:
    import numpy as np

    ModelInput: TypeAlias = np.ndarray[Any, np.dtype[Any]] | Any

_ARRAY_CODES = {InputType.INTEGERS: "i", InputType.FLOATS: "f", InputType.DOUBLES: "d"}
_DTYPE_NAMES = {
    InputType.BYTES: "<i1",
    InputType.INTEGERS: "<i4",
    InputType.FLOATS: "<f4",
    InputType.DOUBLES: "<f8",
}
_NOT_FINITE: Final[dict[Any, float]] = {None: math.nan, "NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""What JSON has no number for, as it is written there."""
_PLAIN: Final = {int, float}
_OTHER_NUMBERS: Final[tuple[Any, ...]] = (Real, Decimal)
_LITTLE_ENDIAN = sys.byteorder == "little"


def encode_input(input_type: InputType, value: Any) -> bytes:
    """Return the payload of one checked value: a list of numbers, text, ``bytes`` for the bytes type, or JSON's text.

    Each NaN has the same bits, so that equal inputs have equal payloads.

    Raises
    ------
    RoundedNumberError
        A whole number is no double.
    """
    code = _ARRAY_CODES.get(input_type)
    if code is None:
        return str(value).encode() if input_type is InputType.STRINGS else bytes(value)  # also the text of JSON
    try:
        numbers = _array_of(code, value)
    except TypeError:
        value = [_NOT_FINITE.get(number, number) for number in value]
        numbers = _array_of(code, value)
    if not _LITTLE_ENDIAN:
        numbers.byteswap()
    payload = numbers.tobytes()
    if code == "d" and may_be_rounded(payload):
        check_whole_numbers(value)
    return payload


def _array_of(code: str, numbers: Sequence[Any]) -> array[Any]:
    try:
        return array(code, numbers)
    except OverflowError:
        check_whole_numbers(numbers)
        raise


def decode_input(input_type: InputType, payload: bytes | memoryview) -> ModelInput:
    """Return the function's argument for one payload, as :func:`decode_inputs` does for several."""
    return decode_inputs(input_type, (payload,))[0]


def decode_inputs(input_type: InputType, payloads: Sequence[bytes | memoryview]) -> list[ModelInput]:
    """Return the function's argument for each payload: a read-only 1-D array, text, or the value of JSON.

    Raises
    ------
    ProtocolError
        A payload is not a whole number of elements, not UTF-8, or not JSON.
    """
    if input_type is InputType.STRINGS:
        return [_decode_text(payload) for payload in payloads]
    if input_type is InputType.JSON:
        return [_decode_json(payload) for payload in payloads]
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


def _decode_json(payload: bytes | memoryview) -> Any:
    try:
        return read_json(payload)
    except UnreadableJsonError as exc:
        raise ProtocolError(f"An input is not JSON: {exc}") from exc


@functools.cache
def _numpy_for(input_type: InputType) -> tuple[Any, Any]:
    """Return the type of the numbers and ``numpy.frombuffer``."""
    import numpy as np

    return np.dtype(_DTYPE_NAMES[input_type]), np.frombuffer


def format_input(input_type: InputType, value: Any) -> Any:
    """Return the JSON value of a notebook's input: arrays and sequences become lists, bytes base64.

    For the type ``json`` it is made of what JSON has, and floats that are not finite, which ``write_body`` marks.

    Raises
    ------
    InvalidInputError
        *value* has no such form; the query frontend checks the numbers.
    """
    if input_type is InputType.JSON:
        return as_json_input(value)
    if input_type is InputType.STRINGS:
        if isinstance(value, str):
            return str(value)  # elements of NumPy's arrays of text have their own type
    elif input_type is InputType.BYTES:
        if hasattr(value, "tobytes") and not isinstance(value, bytes):
            _refuse_wide_items(value)
            value = value.tobytes()
        if isinstance(value, (bytes, bytearray, memoryview)):
            return base64.b64encode(value).decode("ascii")
    else:
        _refuse_index(value)
        value = _to_list(value)
        if isinstance(value, Sequence) and not isinstance(value, (str, bytes, bytearray)):
            return format_numbers(input_type, value)
    expected = {InputType.STRINGS: "str", InputType.BYTES: "bytes or an array of them"}.get(
        input_type, "a 1-D array or list of numbers"
    )
    advice = _way_out(input_type, value)
    raise InvalidInputError(
        f"An input of type {input_type} must be {expected}, not {type(value).__name__}. {advice}".rstrip()
    )


def _refuse_index(row: Any) -> None:
    """Raise ``InvalidInputError`` for a row of a pandas frame whose first number is its place in the frame."""
    if isinstance(row, tuple) and getattr(row, "_fields", ("",))[:1] == ("Index",):
        raise InvalidInputError(
            "An input is a row of df.itertuples(), whose first number is the index. Pass the data frame itself, or the "
            "rows of df.itertuples(index=False)."
        )


def _refuse_wide_items(value: Any) -> None:
    """Raise ``InvalidInputError`` for an array whose elements are no bytes: its memory would be sent."""
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    is_opaque = kind == "V" and not getattr(value, "shape", ())  # NumPy's scalar of raw bytes
    if not is_opaque and getattr(value, "itemsize", 1) != 1:
        what = getattr(value, "dtype", None) or f"{value.itemsize} bytes each"
        raise InvalidInputError(
            f"An input of type bytes is an array whose elements are not bytes ({what}). Send array.astype('uint8') for "
            "numbers from 0 to 255, or array.tobytes() if its memory is meant."
        )


def format_numbers(input_type: InputType, values: Sequence[Any]) -> list[Any]:
    """Return the JSON values of numbers as a notebook holds them: missing ones become ``null`` or ``"NaN"``.

    What is no number is left for the query frontend to refuse.

    Raises
    ------
    InvalidInputError
        A value is a list, a time, or missing among whole numbers.
    """
    numbers = list(values)
    if not {*map(type, numbers)} <= _PLAIN:
        numbers = [_format_number(number) for number in numbers]
        if numbers and hasattr(numbers[0], "__len__") and not isinstance(numbers[0], str):
            raise InvalidInputError(
                "One input is a 1-D array or list of numbers, and this one has more dimensions. For several inputs "
                "use predict_batch(); flatten an image or a table first."
            )
    if not _have_finite_sum(numbers):
        numbers = [_format_float(number) if isinstance(number, float) else number for number in numbers]
        if input_type is InputType.INTEGERS:
            _refuse_missing(numbers)
    return numbers


def _way_out(input_type: InputType, value: Any) -> str:
    if hasattr(type(value), "columns"):
        return "For the rows of a data frame use predict_batch()."
    if isinstance(value, Mapping):
        return "Send JSON as text: json.dumps(row); or deploy with input type 'json', which takes it as it is."
    if input_type is InputType.BYTES or not isinstance(value, _OTHER_NUMBERS):
        return ""
    return "Send one number as a list: [x]." if input_type.is_numeric else "Send its text: str(x)."


def is_missing(value: Any) -> bool:
    """Return whether *value* is ``None`` or pandas' ``NA``."""
    return value is None or (type(value).__name__ == "NAType" and type(value).__module__.startswith("pandas."))


def _to_list(value: Any) -> Any:
    """Return arrays and Series of any library as lists, NumPy's and Arrow's scalars as Python's."""
    if getattr(getattr(value, "dtype", None), "kind", "") in ("m", "M"):  # in a list they would be nanoseconds
        raise InvalidInputError(
            f"An input's numbers are times ({value.dtype}). Convert them to numbers of a unit that you choose, or send "
            "them as text."
        )
    for name in ("tolist", "to_list", "as_py"):
        if hasattr(value, name):
            return getattr(value, name)()
    return value


def _format_number(value: Any) -> Any:
    value = _to_list(value)
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, _OTHER_NUMBERS):
        return _format_other_number(value)
    return None if is_missing(value) else value


def _format_other_number(value: Any) -> int | float:
    """Return a number of another type as a float, or as a whole number that the query frontend sees to be no float."""
    number = float(value)
    if number == value or math.isnan(number):
        return number
    if math.isinf(number):
        raise InvalidInputError(
            f"An input's number is beyond the range of a double: {value:.6g}. Scale it, or send text."
        )
    return int(value) if int(value) == value else number


def _have_finite_sum(numbers: Sequence[Any]) -> bool:
    """Return whether all are certainly finite numbers; much faster than a look at each."""
    try:
        return math.isfinite(sum(numbers))
    except (TypeError, OverflowError):
        return False


def _format_float(number: float) -> Any:
    if math.isfinite(number):
        return number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _refuse_missing(numbers: Sequence[Any]) -> None:
    for position, number in enumerate(numbers):
        if number is None or number == "NaN":
            raise InvalidInputError(
                f"Number {position} of an input is missing, and whole numbers have no missing value. Fill it, or use "
                "the input type doubles."
            )
