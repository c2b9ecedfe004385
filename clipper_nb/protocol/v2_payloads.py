"""Tensors' elements in the body of an infer request, in binary or as JSON, as payloads. (pure)

Binary tensors become payloads without a copy through JSON.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.large_body import LargeBody
from clipper_nb.protocol.predict_body import expectation
from clipper_nb.protocol.v2_schema import InputTensor
from clipper_nb.protocol.v2_tensors import (
    ACCEPTED,
    BYTES,
    ITEM_SIZES_BYTES,
    Structure,
    convert_numbers,
    needs_no_conversion,
    num_elements,
    parse_numbers,
)

LARGE_JSON_SIZE_BYTES: Final = 128 * 1024
_PIECE_SIZE_BYTES: Final = 32 * 1024
_PIECE_ELEMENTS: Final = 4096
_PIECE_TEXTS: Final = 256
_UNICODE: Final = (InputType.STRINGS, InputType.JSON)

_decode_texts: Final = msgspec.json.Decoder(list[str]).decode
_decode_nested_texts: Final = msgspec.json.Decoder(list[tuple[str]]).decode
_decode_base64: Final = msgspec.json.Decoder(list[bytes]).decode
_decode_nested_base64: Final = msgspec.json.Decoder(list[tuple[bytes]]).decode


class V2Payloads:
    """The payloads of one request, which are added in steps.

    Parameters
    ----------
    input_type : InputType
    num_inputs : int

    Notes
    -----
    Each method yields ``True`` after a step, and raises ``InvalidInputError`` if the data does not fit the tensor's
    shape and datatype.
    """

    def __init__(self, input_type: InputType, num_inputs: int) -> None:
        self._input_type = input_type
        self.num_inputs = num_inputs
        self.payloads: list[bytes] = []
        self.size_bytes = 0
        """Size of the payloads parsed so far."""

    def add_raw(self, body: bytes) -> Iterator[bool]:
        """Add the only input, whose bytes are the whole body."""
        datatype = ACCEPTED[self._input_type][0]
        if datatype == BYTES:
            self._add(_checked_text(body, 0) if self._input_type in _UNICODE else body)
            return
        item_size_bytes = ITEM_SIZES_BYTES[datatype]
        if len(body) % item_size_bytes:
            raise InvalidInputError(f"{len(body)} bytes are no whole number of {datatype} elements.")
        yield from self._binary_numbers(memoryview(body), datatype)

    def add_binary(self, raw: memoryview, datatype: str) -> Iterator[bool]:
        """Add a binary tensor."""
        if datatype == BYTES:
            yield from self._binary_texts(raw)
        else:
            yield from self._binary_numbers(raw, datatype)

    def add_json(self, raw: memoryview, tensor: InputTensor, *, is_base64: bool) -> Iterator[bool]:
        """Add a tensor from its ``data``."""
        if tensor.datatype == BYTES:
            yield from self._json_texts(raw, tensor, is_base64=is_base64)
        else:
            yield from self._json_numbers(raw, tensor)

    def _add(self, payload: bytes) -> None:
        self.payloads.append(payload)
        self.size_bytes += len(payload)

    def _split_numbers(self, numbers: io.BytesIO) -> Iterator[bool]:
        """Cut converted numbers into rows."""
        self.size_bytes = 0
        if self.num_inputs == 1:
            self._add(numbers.getvalue())  # it is not copied
            return
        yield from self._split(numbers.getbuffer())

    def _split(self, numbers: bytes | memoryview) -> Iterator[bool]:
        """Cut the tensor's numbers into its rows."""
        count = self.num_inputs
        size_bytes = len(numbers) // count if count else 0
        for row in range(count):
            self._add(bytes(numbers[row * size_bytes : (row + 1) * size_bytes]))
            if row % _PIECE_TEXTS == _PIECE_TEXTS - 1:
                yield True

    def _binary_numbers(self, raw: memoryview, datatype: str) -> Iterator[bool]:
        if needs_no_conversion(self._input_type, datatype):
            yield from self._split(raw)
            return
        numbers = io.BytesIO()
        item_size_bytes = ITEM_SIZES_BYTES[datatype]
        for start in range(0, len(raw), _PIECE_ELEMENTS * item_size_bytes):
            piece = raw[start : start + _PIECE_ELEMENTS * item_size_bytes]
            numbers.write(convert_numbers(piece, datatype, self._input_type, start // item_size_bytes))
            self.size_bytes = numbers.tell()
            yield True
        yield from self._split_numbers(numbers)

    def _json_numbers(self, raw: memoryview, tensor: InputTensor) -> Iterator[bool]:
        content = bytes(raw).strip(b" \t\r\n")
        if len(content) > LARGE_JSON_SIZE_BYTES:
            yield True
        if content[:1] != b"[" or content[-1:] != b"]":
            raise InvalidInputError(f"'data' is no list. {expected_tensor(self._input_type)}")
        count = num_elements(tensor.shape)
        numbers = io.BytesIO()
        structure = Structure()
        num_parsed = 0
        size_bytes = self._input_type.item_size_bytes
        if count:
            start, end = 1, len(content) - 1
            structure.add(b"[")
            while start <= end:
                comma = _last_comma(content, start, end)
                structure.add(content[start : comma + (comma < end)])
                numbers.write(parse_numbers(content[start:comma], tensor.datatype, self._input_type, num_parsed))
                num_parsed = numbers.tell() // size_bytes
                self.size_bytes = numbers.tell()
                start = comma + 1
                yield True
            structure.add(b"]")
        elif content.translate(None, b"[], \t\r\n"):
            raise InvalidInputError(f"Shape {tensor.shape} has no elements, and 'data' has some.")
        if num_parsed != count:
            raise InvalidInputError(f"Shape {tensor.shape} has {count} elements, and 'data' has {num_parsed}.")
        if count and not structure.is_of(tensor.shape):
            raise InvalidInputError(f"'data' is neither a flat list nor nested as shape {tensor.shape} is.")
        yield True
        yield from self._split_numbers(numbers)

    def _binary_texts(self, raw: memoryview) -> Iterator[bool]:
        at = 0
        for number in range(self.num_inputs):
            start = at + 4
            size_bytes = int.from_bytes(raw[at:start], "little")
            at = start + size_bytes
            if at > len(raw):
                raise InvalidInputError(f"Element {number} of the BYTES tensor ends after the data.")
            payload = bytes(raw[start:at])
            self._add(_checked_text(payload, number) if self._input_type in _UNICODE else payload)
            if number % _PIECE_TEXTS == _PIECE_TEXTS - 1:
                yield True
        if at != len(raw):
            raise InvalidInputError(f"The BYTES tensor has {self.num_inputs} elements, and {len(raw) - at} bytes more.")

    def _json_texts(self, raw: memoryview, tensor: InputTensor, *, is_base64: bool) -> Iterator[bool]:
        if len(raw) > LARGE_JSON_SIZE_BYTES:
            yield from self._large_json_texts(raw, is_base64=is_base64)
        else:
            content = bytes(raw)
            is_nested = content[1:].lstrip(b" \t\r\n")[:1] == b"["
            if is_nested:
                decode: Any = _decode_nested_base64 if is_base64 else _decode_nested_texts
            else:
                decode = _decode_base64 if is_base64 else _decode_texts
            try:
                values = decode(content)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
                raise InvalidInputError(f"'data' of the BYTES tensor: {_where(exc)}.") from exc
            for value in values:
                element = value[0] if is_nested else value
                self._add(element if is_base64 else element.encode())
        if is_base64 and self._input_type in _UNICODE:
            for number, payload in enumerate(self.payloads):
                _checked_text(payload, number)
        if len(self.payloads) != self.num_inputs:
            raise InvalidInputError(
                f"Shape {tensor.shape} has {self.num_inputs} elements, and 'data' has {len(self.payloads)}."
            )

    def _large_json_texts(self, raw: memoryview, *, is_base64: bool) -> Iterator[bool]:
        if bytes(raw[1:LARGE_JSON_SIZE_BYTES]).lstrip(b" \t\r\n")[:1] == b"[":
            raise InvalidInputError(
                f"'data' of the BYTES tensor is nested and larger than {LARGE_JSON_SIZE_BYTES} bytes: send a flat "
                "list, or binary data."
            )
        input_type = InputType.BYTES if is_base64 else InputType.STRINGS
        large = LargeBody(b"".join((b'{"input_batch":', raw, b"}")), input_type)
        yield True
        try:
            for step in large.steps():
                self.size_bytes = large.payloads_size_bytes
                yield step
        except InvalidInputError as exc:
            text = str(exc).removesuffix(f". {expectation(input_type)}").replace("$.input_batch", "$")
            raise InvalidInputError(f"'data' of the BYTES tensor: {_without_byte(text)}.") from exc
        assert large.request is not None
        self.payloads += large.request.payloads


def expected_tensor(input_type: InputType) -> str:
    """Return what a tensor must be, for the client that sent another one."""
    *others, last = ACCEPTED[input_type]
    datatypes = f"{', '.join(others)} or {last}" if others else last
    shapes = ["BYTES: [batch]"] if last == BYTES or BYTES in others else []
    if ACCEPTED[input_type] != (BYTES,):
        shapes.append("numbers: [batch, ...], or [n] for one input")
    return f"This application's input type is '{input_type}': send one tensor, {datatypes} ({'; '.join(shapes)})."


def _checked_text(payload: bytes, number: int) -> bytes:
    try:
        str(payload, "utf-8")
    except UnicodeDecodeError as exc:
        raise InvalidInputError(f"Element {number} of the BYTES tensor is not UTF-8: {exc.reason}.") from exc
    return payload


def _last_comma(content: bytes, start: int, end: int) -> int:
    """Return the end of the piece that begins at *start*: at a comma, or at *end*."""
    if end - start <= _PIECE_SIZE_BYTES:
        return end
    comma = content.rfind(b",", start, start + _PIECE_SIZE_BYTES)
    if comma < 0:
        raise InvalidInputError(f"'data' has {_PIECE_SIZE_BYTES} bytes without a comma.")
    return comma


def _where(exc: Exception) -> str:
    return _without_byte(str(exc).replace(" - at `$[", " - at `data["))


def _without_byte(text: str) -> str:
    """Return a decoder's sentence without the number of the byte, which is not the body's."""
    return re.sub(r" ?\(byte \d+\)", "", text)
