"""Bodies of ``POST /v2/models/<application>/infer``: JSON, and binary tensors after it, parsed into payloads. (pure)

Binary tensors become payloads without a copy through JSON. Parsing is a series of steps, between which a caller can do
other work; :func:`parse_infer` takes all of them at once.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.large_body import LargeBody
from clipper_nb.protocol.predict_body import expectation
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS
from clipper_nb.protocol.v2_large_json import find_data
from clipper_nb.protocol.v2_schema import InferBody, InputTensor, decode_infer_body
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

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
INPUT_NAME: Final = "input"
OUTPUT_NAME: Final = "output"
DEFAULT_NAME: Final = "default"
REASON_NAME: Final = "default_reason"
OUTPUT_NAMES: Final = (OUTPUT_NAME, DEFAULT_NAME, REASON_NAME)

_LARGE_JSON_SIZE_BYTES: Final = 128 * 1024
_PIECE_SIZE_BYTES: Final = 32 * 1024
_PIECE_ELEMENTS: Final = 4096
_PIECE_TEXTS: Final = 256
_BASE64: Final = "base64"
_UNICODE: Final = (InputType.STRINGS, InputType.JSON)
_EMPTY: Final = msgspec.Raw(b"[]")

_MAX_KNOWN: Final = 1024
_MAX_KNOWN_SIZE_BYTES: Final = 1024
_SIZE: Final = re.compile(rb"[0-9]{1,20}\Z")

_decode_texts: Final = msgspec.json.Decoder(list[str]).decode
_decode_nested_texts: Final = msgspec.json.Decoder(list[tuple[str]]).decode
_decode_base64: Final = msgspec.json.Decoder(list[bytes]).decode
_decode_nested_base64: Final = msgspec.json.Decoder(list[tuple[bytes]]).decode


class InferRequest(NamedTuple):
    """One parsed request."""

    payloads: list[bytes]
    request_id: str | None
    outputs: dict[str, bool]
    """The outputs that are wanted, and whether each is binary; none for the usual ones."""
    is_binary: bool
    """Whether outputs are binary that the client did not name."""
    timeout_s: float | None


class V2Body:
    """Parses one body.

    Parameters
    ----------
    body : bytes
    json_size : bytes or None
        The value of ``Inference-Header-Content-Length``, or ``None`` if there is no such header.
    input_type : InputType

    Raises
    ------
    InvalidInputError
        The header does not fit the body.
    """

    def __init__(self, body: bytes, json_size: bytes | None, input_type: InputType) -> None:
        self._body = body
        self._input_type = input_type
        self._json_size_bytes = len(body) if json_size is None else _parse_size(json_size, len(body))
        self._has_header = json_size is not None
        self._payloads: list[bytes] = []
        self.payloads_size_bytes = 0
        """Size of the payloads parsed so far."""
        self.num_inputs: int | None = None
        """How many inputs there are, once it is known."""
        self.request: InferRequest | None = None
        """The request, once its JSON is parsed; its payloads are complete after the last step."""

    def steps(self) -> Iterator[bool]:
        """Yield ``True`` after each step until ``request`` is there.

        Raises
        ------
        InvalidInputError
            The body is no request, or its tensor no batch of inputs; the error says what is expected.
        """
        if self._has_header and self._json_size_bytes == 0 and self._body:
            yield from self._raw_steps()
            return
        data: list[tuple[int, int]] = []
        outline = self._body[: self._json_size_bytes]
        if self._json_size_bytes > _LARGE_JSON_SIZE_BYTES:
            yield from self._large_outline(data)
            [(start, end)] = data
            outline = b"%b[]%b" % (self._body[:start], self._body[end : self._json_size_bytes])
        parsed = self._decode(outline)
        tensor = self._only_input(parsed)
        if data and tensor.data != _EMPTY:
            raise InvalidInputError("The JSON has more than one 'data'.")
        self.num_inputs = self._count_inputs(tensor)
        binary_size_bytes = len(self._body) - self._json_size_bytes
        announced = None if tensor.parameters is None else tensor.parameters.binary_data_size
        self._check_data(tensor, announced, binary_size_bytes)
        parameters = parsed.parameters
        self.request = InferRequest(
            self._payloads,
            parsed.id,
            _wanted_outputs(parsed),
            is_binary=parameters is not None and parameters.binary_data_output is True,
            timeout_s=None if parameters is None or parameters.timeout is None else parameters.timeout / 1e6,
        )
        if announced is not None:
            raw = memoryview(self._body)[self._json_size_bytes :]
            if tensor.datatype == BYTES:
                yield from self._binary_texts(raw)
            else:
                yield from self._binary_numbers(raw, tensor)
                if self.num_inputs == 1 and needs_no_conversion(self._input_type, tensor.datatype):
                    self._remember(outline)
        else:
            assert isinstance(tensor.data, msgspec.Raw)  # as it was checked
            content = memoryview(self._body)[data[0][0] : data[0][1]] if data else memoryview(tensor.data)
            is_base64 = _content_type(parsed, tensor) == _BASE64
            if tensor.datatype == BYTES:
                yield from self._json_texts(content, tensor, is_base64=is_base64)
            else:
                yield from self._json_numbers(content, tensor)

    def _remember(self, outline: bytes) -> None:
        """Remember the JSON of a tensor that is one input as it is: clients send the same again and again."""
        if len(outline) <= _MAX_KNOWN_SIZE_BYTES:
            known = _KNOWN[self._input_type]
            if len(known) >= _MAX_KNOWN:
                known.clear()
            assert self.request is not None
            known[outline] = (len(self._body), self.request._replace(payloads=[]))

    # --- the outline

    def _large_outline(self, data: list[tuple[int, int]]) -> Iterator[bool]:
        """Find the first tensor's data in a large JSON."""
        takes_texts = BYTES in ACCEPTED[self._input_type]
        start = end = -1
        for start, end in find_data(self._body, self._json_size_bytes, takes_texts=takes_texts):  # noqa: B007 - the last
            yield True
        if self._json_size_bytes - (end - start) > _LARGE_JSON_SIZE_BYTES:
            raise InvalidInputError(
                f"The JSON without the tensor's data is larger than {_LARGE_JSON_SIZE_BYTES} bytes."
            )
        data.append((start, end))

    def _decode(self, outline: bytes) -> InferBody:
        try:
            return decode_infer_body(outline)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            text = f"This is no inference request: {exc}."
            if self._has_header:
                text += f" Its JSON has {self._json_size_bytes} of {len(self._body)} bytes, as '{HEADER_LENGTH}' says."
            raise InvalidInputError(text) from exc

    def _only_input(self, parsed: InferBody) -> InputTensor:
        if len(parsed.inputs) != 1:
            names = ", ".join(repr(tensor.name[:60]) for tensor in parsed.inputs[:20]) or "none"
            raise InvalidInputError(f"One input tensor is expected, got: {names}. {_expected(self._input_type)}")
        [tensor] = parsed.inputs
        accepted = ACCEPTED[self._input_type]
        if tensor.datatype not in accepted:
            raise InvalidInputError(f"Datatype {tensor.datatype[:60]!r} is not accepted. {_expected(self._input_type)}")
        return tensor

    def _count_inputs(self, tensor: InputTensor) -> int:
        """Return the number of inputs in the tensor: its first dimension, except that a vector of numbers is one."""
        shape = tensor.shape
        if not shape:
            raise InvalidInputError(f"The shape has no dimension. {_expected(self._input_type)}")
        if tensor.datatype == BYTES:
            if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
                raise InvalidInputError(
                    f"Shape {shape} is neither [batch] nor [batch, 1]. {_expected(self._input_type)}"
                )
            count = shape[0]
        else:
            count = 1 if len(shape) == 1 else shape[0]
        if count > MAX_BATCH_INPUTS:
            raise _too_many(count)
        return count

    def _check_data(self, tensor: InputTensor, announced: int | None, binary_size_bytes: int) -> None:
        """Check that there is data, once, and all of the body is accounted for."""
        if announced is None:
            if tensor.data is UNSET:
                raise InvalidInputError("The input has neither 'data' nor the parameter 'binary_data_size'.")
            if binary_size_bytes:
                raise InvalidInputError(
                    f"{binary_size_bytes} bytes come after the JSON, and no input has the parameter 'binary_data_size'."
                )
            if tensor.datatype == "FP16":
                raise InvalidInputError("FP16 has no form in JSON: send the tensor as binary data.")
            return
        if tensor.data is not UNSET:
            raise InvalidInputError("The input has both 'data' and the parameter 'binary_data_size'.")
        if not self._has_header:
            raise InvalidInputError(f"An input is binary, and the request has no header '{HEADER_LENGTH}'.")
        if announced != binary_size_bytes:
            raise InvalidInputError(
                f"'binary_data_size' is {announced}, and {binary_size_bytes} bytes come after the JSON."
            )
        if tensor.datatype != BYTES:
            expected = num_elements(tensor.shape) * ITEM_SIZES_BYTES[tensor.datatype]
            if expected != announced:
                raise InvalidInputError(
                    f"A {tensor.datatype} tensor of shape {tensor.shape} has {expected} bytes, not {announced}."
                )

    # --- tensors

    def _raw_steps(self) -> Iterator[bool]:
        """Parse a body that is the bytes of one input, and nothing else."""
        self.request = InferRequest(self._payloads, None, {}, is_binary=True, timeout_s=None)
        self.num_inputs = 1
        datatype = ACCEPTED[self._input_type][0]
        size_bytes = len(self._body)
        if datatype == BYTES:
            self._add(_checked_text(self._body, 0) if self._input_type in _UNICODE else self._body)
        else:
            item_size_bytes = ITEM_SIZES_BYTES[datatype]
            if size_bytes % item_size_bytes:
                raise InvalidInputError(f"{size_bytes} bytes are no whole number of {datatype} elements.")
            tensor = InputTensor(INPUT_NAME, [1, size_bytes // item_size_bytes], datatype)
            yield from self._binary_numbers(memoryview(self._body), tensor)

    def _add(self, payload: bytes) -> None:
        self._payloads.append(payload)
        self.payloads_size_bytes += len(payload)

    def _split_numbers(self, numbers: io.BytesIO) -> Iterator[bool]:
        """Cut converted numbers into rows."""
        self.payloads_size_bytes = 0
        if self.num_inputs == 1:
            self._add(numbers.getvalue())  # it is not copied
            return
        yield from self._split(numbers.getbuffer())

    def _split(self, numbers: bytes | memoryview) -> Iterator[bool]:
        """Cut the tensor's numbers into its rows."""
        count = self.num_inputs or 0
        size_bytes = len(numbers) // count if count else 0
        for row in range(count):
            self._add(bytes(numbers[row * size_bytes : (row + 1) * size_bytes]))
            if row % _PIECE_TEXTS == _PIECE_TEXTS - 1:
                yield True

    def _binary_numbers(self, raw: memoryview, tensor: InputTensor) -> Iterator[bool]:
        if needs_no_conversion(self._input_type, tensor.datatype):
            yield from self._split(raw)
            return
        numbers = io.BytesIO()
        item_size_bytes = ITEM_SIZES_BYTES[tensor.datatype]
        for start in range(0, len(raw), _PIECE_ELEMENTS * item_size_bytes):
            piece = raw[start : start + _PIECE_ELEMENTS * item_size_bytes]
            numbers.write(convert_numbers(piece, tensor.datatype, self._input_type, start // item_size_bytes))
            self.payloads_size_bytes = numbers.tell()
            yield True
        yield from self._split_numbers(numbers)

    def _json_numbers(self, raw: memoryview, tensor: InputTensor) -> Iterator[bool]:
        content = bytes(raw).strip(b" \t\r\n")
        if len(content) > _LARGE_JSON_SIZE_BYTES:
            yield True
        if content[:1] != b"[" or content[-1:] != b"]":
            raise InvalidInputError(f"'data' is no list. {_expected(self._input_type)}")
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
                self.payloads_size_bytes = numbers.tell()
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
        for number in range(self.num_inputs or 0):
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
        if len(raw) > _LARGE_JSON_SIZE_BYTES:
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
            for number, payload in enumerate(self._payloads):
                _checked_text(payload, number)
        if len(self._payloads) != self.num_inputs:
            raise InvalidInputError(
                f"Shape {tensor.shape} has {self.num_inputs} elements, and 'data' has {len(self._payloads)}."
            )

    def _large_json_texts(self, raw: memoryview, *, is_base64: bool) -> Iterator[bool]:
        if bytes(raw[1:_LARGE_JSON_SIZE_BYTES]).lstrip(b" \t\r\n")[:1] == b"[":
            raise InvalidInputError(
                f"'data' of the BYTES tensor is nested and larger than {_LARGE_JSON_SIZE_BYTES} bytes: send a flat "
                "list, or binary data."
            )
        input_type = InputType.BYTES if is_base64 else InputType.STRINGS
        large = LargeBody(b"".join((b'{"input_batch":', raw, b"}")), input_type)
        yield True
        try:
            for step in large.steps():
                self.payloads_size_bytes = large.payloads_size_bytes
                yield step
        except InvalidInputError as exc:
            text = str(exc).removesuffix(f". {expectation(input_type)}").replace("$.input_batch", "$")
            raise InvalidInputError(f"'data' of the BYTES tensor: {_without_byte(text)}.") from exc
        assert large.request is not None
        self._payloads += large.request.payloads


_KNOWN: Final[dict[InputType, dict[bytes, tuple[int, InferRequest]]]] = {input_type: {} for input_type in InputType}
"""JSON of requests with one input in binary, with the size of the body and all but the payload."""


def parse_known(body: bytes, json_size: bytes | None, input_type: InputType) -> InferRequest | None:
    """Return the request in *body* if its JSON was seen before, and its tensor is one input as it is; else ``None``."""
    if json_size is None or not _SIZE.match(json_size):
        return None
    size_bytes = int(json_size)
    known = _KNOWN[input_type].get(body[:size_bytes])
    if known is None or known[0] != len(body):
        return None
    _, request_id, outputs, is_binary, timeout_s = known[1]
    return InferRequest([body[size_bytes:]], request_id, outputs, is_binary, timeout_s)


def parse_infer(body: bytes, json_size: bytes | None, input_type: InputType) -> InferRequest:
    """Return the request in *body*; *json_size* is the value of ``Inference-Header-Content-Length``, if there is one.

    Raises
    ------
    InvalidInputError
        The body is no request for an application of that type.
    """
    parsing = V2Body(body, json_size, input_type)
    for _ in parsing.steps():
        pass
    assert parsing.request is not None
    return parsing.request


def _parse_size(json_size: bytes, body_size_bytes: int) -> int:
    """Return the size of the JSON that the header announces."""
    text = json_size.strip()
    size_bytes = int(text) if _SIZE.match(text) else -1
    if not 0 <= size_bytes <= body_size_bytes:
        shown = text[:30].decode("latin-1")
        raise InvalidInputError(
            f"'{HEADER_LENGTH}' is {shown!r}; it must be the size of the JSON in bytes, and the body has "
            f"{body_size_bytes} bytes."
        )
    return size_bytes


def _wanted_outputs(parsed: InferBody) -> dict[str, bool]:
    """Return the outputs that the client names, and whether each is binary."""
    parameters = parsed.parameters
    is_binary = parameters is not None and parameters.binary_data_output is True
    wanted: dict[str, bool] = {}
    for output in parsed.outputs or ():
        if output.name not in OUTPUT_NAMES:
            raise InvalidInputError(f"There is no output {output.name[:60]!r}; there are {', '.join(OUTPUT_NAMES)}.")
        if output.name in wanted:
            raise InvalidInputError(f"Output '{output.name}' is requested twice.")
        own = None if output.parameters is None else output.parameters.binary_data
        wanted[output.name] = is_binary if own is None else own
    return wanted


def _content_type(parsed: InferBody, tensor: InputTensor) -> str | None:
    """Return how the client says that the elements are to be read; the request's word counts first."""
    if parsed.parameters is not None and parsed.parameters.content_type is not None:
        return parsed.parameters.content_type
    return None if tensor.parameters is None else tensor.parameters.content_type


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


def _too_many(count: int) -> InvalidInputError:
    return InvalidInputError(f"The tensor has {count} inputs or more, and a request may have {MAX_BATCH_INPUTS}.")


def _expected(input_type: InputType) -> str:
    """Return what a tensor must be, for the client that sent another one."""
    *others, last = ACCEPTED[input_type]
    datatypes = f"{', '.join(others)} or {last}" if others else last
    shapes = ["BYTES: [batch]"] if last == BYTES or BYTES in others else []
    if ACCEPTED[input_type] != (BYTES,):
        shapes.append("numbers: [batch, ...], or [n] for one input")
    return f"This application's input type is '{input_type}': send one tensor, {datatypes} ({'; '.join(shapes)})."


def _where(exc: Exception) -> str:
    return _without_byte(str(exc).replace(" - at `$[", " - at `data["))


def _without_byte(text: str) -> str:
    """Return a decoder's sentence without the number of the byte, which is not the body's."""
    return re.sub(r" ?\(byte \d+\)", "", text)
