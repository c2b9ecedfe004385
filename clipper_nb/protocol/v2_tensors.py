"""Tensors of the Open Inference Protocol (V2): which an input type accepts, and numbers as payloads. (pure)

Numbers are widened or narrowed only if each value stays what it is; FP64 for ``floats`` is rounded, as numbers in JSON
are. The elements of a JSON tensor are read as its datatype first, so both forms of a tensor give the same inputs.
"""

from __future__ import annotations

import math
import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import encode_input
from clipper_nb.protocol.predict_body import doubles_of
from clipper_nb.protocol.predict_schema import INPUT_DECODERS, describe_misfit
from clipper_nb.protocol.whole_numbers import RoundedNumberError

BYTES: Final = "BYTES"
_ITEM_CODES: Final = {
    "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
    "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip
ITEM_SIZES_BYTES: Final = {datatype: struct.calcsize(f"<{code}") for datatype, code in _ITEM_CODES.items()}
"""Bytes of one element of each datatype of numbers."""
_WHOLE: Final = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
_REAL: Final = ("FP16", "FP32", "FP64")

ACCEPTED: Final[dict[InputType, tuple[str, ...]]] = {
    InputType.DOUBLES: ("FP64", "FP32", "FP16", *_WHOLE),
    InputType.FLOATS: ("FP32", "FP64", "FP16", *_WHOLE),
    InputType.INTEGERS: ("INT32", *(datatype for datatype in _WHOLE if datatype != "INT32")),
    InputType.BYTES: (BYTES, "UINT8", "INT8"),
    InputType.STRINGS: (BYTES,),
    InputType.JSON: (BYTES,),
}
"""The datatypes that an input type accepts; the first one is the one that metadata tells."""
_AS_THEY_ARE: Final = {
    (InputType.DOUBLES, "FP64"),
    (InputType.FLOATS, "FP32"),
    (InputType.INTEGERS, "INT32"),
    (InputType.BYTES, "UINT8"),
    (InputType.BYTES, "INT8"),
}
_TARGET_CODES: Final = {InputType.DOUBLES: "d", InputType.FLOATS: "f", InputType.INTEGERS: "i"}
_LARGEST_EXACT: Final = {"d": 2**53, "f": 2**24}
"""Up to which each whole number is exact."""
_LARGEST_FLOAT32: Final = 3.4028235677973362e38
"""The largest double that rounds to a finite float32."""
_IS_BIG_ENDIAN: Final = sys.byteorder != "little"
_SPACES_FOR_BRACKETS: Final = bytes.maketrans(b"[]", b"  ")
_NO_STRUCTURE: Final = b"0123456789+-.eE \t\r\n" + b'"NaIfinityul'
"""What numbers are made of, those included that are written as text."""


def _whole_decoder(lowest: int, highest: int | None) -> Callable[[bytes], Any]:
    return msgspec.json.Decoder(list[Annotated[int, Meta(ge=lowest, le=highest)]]).decode


_DECODERS: Final[dict[str, Callable[[bytes], Any]]] = {
    **{f"INT{bits}": _whole_decoder(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": _whole_decoder(0, 2**bits - 1) for bits in (8, 16, 32)},
    "UINT64": _whole_decoder(0, None),  # msgspec's bounds are those of 64 bits with a sign
    "FP32": INPUT_DECODERS[InputType.FLOATS].decode,
    "FP64": INPUT_DECODERS[InputType.DOUBLES].decode,
}


def needs_no_conversion(input_type: InputType, datatype: str) -> bool:
    """Return whether the tensor's bytes are payloads as they are."""
    return (input_type, datatype) in _AS_THEY_ARE and not _IS_BIG_ENDIAN


def num_elements(shape: Sequence[int]) -> int:
    """Return the number of elements of a tensor."""
    return math.prod(shape)


def convert_numbers(raw: bytes | memoryview, datatype: str, input_type: InputType, num_before: int) -> bytes:
    """Return the payload of a binary tensor's numbers, of which the first is element *num_before*.

    Raises
    ------
    InvalidInputError
        A number is no value of the input type.
    """
    if (input_type, datatype) in _AS_THEY_ARE:
        return bytes(raw)
    values: Any
    if datatype == "FP16":
        values = struct.unpack(f"<{len(raw) // 2}e", raw)
    else:
        values = array(_ITEM_CODES[datatype])
        values.frombytes(raw)
        if _IS_BIG_ENDIAN:
            values.byteswap()
    numbers = _to_numbers(values, datatype, input_type, num_before)
    if _IS_BIG_ENDIAN:
        numbers.byteswap()
    return numbers.tobytes()


def _to_numbers(values: Sequence[Any], datatype: str, input_type: InputType, num_before: int) -> array[Any]:
    code = _TARGET_CODES[input_type]
    if code == "i":
        try:
            return array(code, values)
        except OverflowError:
            raise _no_value(values, lambda value: -(2**31) <= value < 2**31, datatype, input_type, num_before) from None
    if datatype == "FP64" and any(
        value > _LARGEST_FLOAT32 or value < -_LARGEST_FLOAT32 for value in values if math.isfinite(value)
    ):
        raise _no_value(
            values, lambda x: not math.isfinite(x) or abs(x) <= _LARGEST_FLOAT32, datatype, input_type, num_before
        )
    largest = _LARGEST_EXACT[code]
    if datatype in _WHOLE and values and (max(values) > largest or min(values) < -largest):
        numbers = array(code, values)
        if any(int(number) != value for number, value in zip(numbers, values, strict=True)):
            raise _no_value(
                values, lambda value: int(array(code, [value])[0]) == value, datatype, input_type, num_before
            )
        return numbers
    return array(code, values)


def _no_value(
    values: Sequence[Any], fits: Callable[[Any], bool], datatype: str, input_type: InputType, num_before: int
) -> InvalidInputError:
    """Return the error for the first of *values* that does not fit."""
    position = next(position for position, value in enumerate(values) if not fits(value))
    return InvalidInputError(
        f"Element {num_before + position} of the {datatype} tensor is {values[position]}, which is no exact value of "
        f"the input type '{input_type}'."
    )


# --- numbers in JSON


def parse_numbers(elements: bytes, datatype: str, input_type: InputType, num_before: int) -> bytes:
    """Return the payload of numbers with commas between them, and with any brackets.

    Whether the brackets are right is for :class:`Structure` to say.

    Raises
    ------
    InvalidInputError
        They are no numbers of the datatype, or of the input type.
    """
    elements = elements.translate(_SPACES_FOR_BRACKETS)  # not removed: `1[2` must not become 12
    if datatype == "FP64" and input_type is InputType.DOUBLES:
        payload = doubles_of(elements)
        if payload is not None:
            return payload
    try:
        encoded = _encode(_DECODERS[datatype](b"[" + elements + b"]"), datatype)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, RoundedNumberError) as exc:
        raise InvalidInputError(
            f"'data' of the {datatype} tensor: {_moved(describe_misfit(exc), num_before)}."
        ) from exc
    except OverflowError as exc:
        raise InvalidInputError(f"'data' of the {datatype} tensor: a number is out of its range.") from exc
    return convert_numbers(encoded, datatype, input_type, num_before)


def _encode(values: list[Any], datatype: str) -> bytes:
    """Return numbers as a binary tensor has them."""
    if datatype == "FP64":
        return encode_input(InputType.DOUBLES, values)
    if datatype == "FP32":
        return encode_input(InputType.FLOATS, values)
    numbers = array(_ITEM_CODES[datatype], values)
    if _IS_BIG_ENDIAN:
        numbers.byteswap()
    return numbers.tobytes()


def _moved(text: str, num_before: int) -> str:
    """Return a decoder's sentence with the number of the element in the whole tensor."""
    before, at, position = text.rpartition(" - at `$[")
    if not at:
        return text.partition(" (byte ")[0]
    return f"{before} - at element {num_before + int(position.rstrip('`').rstrip(']'))}"


class Structure:
    """Collects the brackets and commas of a JSON tensor, and compares them with its shape."""

    def __init__(self) -> None:
        self._found: list[bytes] = []

    def add(self, elements: bytes) -> None:
        """Add the next part of the JSON."""
        self._found.append(elements.translate(None, _NO_STRUCTURE))

    def is_of(self, shape: Sequence[int]) -> bool:
        """Return whether the JSON is a flat list of the elements, or nested as the shape is."""
        found = b"".join(self._found)
        count = num_elements(shape)
        if count == 0:
            return not found.translate(None, b"[],")
        return any(
            _structure_size(dimensions) == len(found) and _structure(dimensions) == found
            for dimensions in ([count], shape)
        )


def _structure_size(dimensions: Sequence[int]) -> int:
    """Return the size of :func:`_structure`, which may be too large to make."""
    size = 0
    for dimension in reversed(dimensions):
        size = dimension * size + dimension + 1
    return size


def _structure(dimensions: Sequence[int]) -> bytes:
    inner = b""
    for dimension in reversed(dimensions):
        inner = b"[%b%b]" % ((inner + b",") * (dimension - 1), inner)  # a list of the parts would take long
    return inner
