"""Bodies of ``POST /v2/models/<application>/infer``: JSON, and binary tensors after it, parsed into payloads. (pure)

Binary tensors become payloads without a copy through JSON. Parsing is a series of steps, between which a caller can do
other work; :func:`parse_infer` takes all of them at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
from msgspec import UNSET

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS
from clipper_nb.protocol.v2_large_json import find_data
from clipper_nb.protocol.v2_payloads import LARGE_JSON_SIZE_BYTES, V2Payloads, expected_tensor
from clipper_nb.protocol.v2_schema import InferBody, InputTensor, decode_infer_body
from clipper_nb.protocol.v2_tensors import (
    ACCEPTED,
    BYTES,
    ITEM_SIZES_BYTES,
    needs_no_conversion,
    num_elements,
)

HEADER_LENGTH: Final = "Inference-Header-Content-Length"
INPUT_NAME: Final = "input"
OUTPUT_NAME: Final = "output"
DEFAULT_NAME: Final = "default"
REASON_NAME: Final = "default_reason"
OUTPUT_NAMES: Final = (OUTPUT_NAME, DEFAULT_NAME, REASON_NAME)

_BASE64: Final = "base64"
_EMPTY: Final = msgspec.Raw(b"[]")

_MAX_KNOWN: Final = 1024
_MAX_KNOWN_SIZE_BYTES: Final = 1024
_MAX_SIZE_DIGITS: Final = 20
_SIZE: Final = re.compile(rb"[0-9]{1,20}\Z")


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
        self._payloads: V2Payloads | None = None  # once the number of inputs is known
        self.request: InferRequest | None = None
        """The request, once its JSON is parsed; its payloads are complete after the last step."""

    @property
    def num_inputs(self) -> int | None:
        """How many inputs there are, once it is known."""
        return None if self._payloads is None else self._payloads.num_inputs

    @property
    def payloads_size_bytes(self) -> int:
        """Size of the payloads parsed so far."""
        return 0 if self._payloads is None else self._payloads.size_bytes

    def steps(self) -> Iterator[bool]:
        """Yield ``True`` after each step until ``request`` is there.

        Raises
        ------
        InvalidInputError
            The body is no request, or its tensor no batch of inputs; the error says what is expected.
        """
        if self._has_header and self._json_size_bytes == 0 and self._body:
            self._payloads = only = V2Payloads(self._input_type, 1)
            self.request = InferRequest(only.payloads, None, {}, is_binary=True, timeout_s=None)
            yield from only.add_raw(self._body)
            return
        data: list[tuple[int, int]] = []
        outline = self._body[: self._json_size_bytes]
        if self._json_size_bytes > LARGE_JSON_SIZE_BYTES:
            yield from self._large_outline(data)
            [(start, end)] = data
            outline = b"%b[]%b" % (self._body[:start], self._body[end : self._json_size_bytes])
        parsed = self._decode(outline)
        tensor = self._only_input(parsed)
        if data and tensor.data != _EMPTY:
            raise InvalidInputError("The JSON has more than one 'data'.")
        self._payloads = payloads = V2Payloads(self._input_type, self._count_inputs(tensor))
        binary_size_bytes = len(self._body) - self._json_size_bytes
        announced = None if tensor.parameters is None else tensor.parameters.binary_data_size
        self._check_data(tensor, announced, binary_size_bytes)
        parameters = parsed.parameters
        self.request = InferRequest(
            payloads.payloads,
            parsed.id,
            _wanted_outputs(parsed),
            is_binary=parameters is not None and parameters.binary_data_output is True,
            timeout_s=None if parameters is None or parameters.timeout is None else parameters.timeout / 1e6,
        )
        if announced is not None:
            raw = memoryview(self._body)[self._json_size_bytes :]
            yield from payloads.add_binary(raw, tensor.datatype)
            if payloads.num_inputs == 1 and needs_no_conversion(self._input_type, tensor.datatype):
                self._remember(outline)
        else:
            assert isinstance(tensor.data, msgspec.Raw)  # as it was checked
            content = memoryview(self._body)[data[0][0] : data[0][1]] if data else memoryview(tensor.data)
            is_base64 = _content_type(parsed, tensor) == _BASE64
            yield from payloads.add_json(content, tensor, is_base64=is_base64)

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
        if self._json_size_bytes - (end - start) > LARGE_JSON_SIZE_BYTES:
            raise InvalidInputError(f"The JSON without the tensor's data is larger than {LARGE_JSON_SIZE_BYTES} bytes.")
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
            raise InvalidInputError(f"One input tensor is expected, got: {names}. {expected_tensor(self._input_type)}")
        [tensor] = parsed.inputs
        accepted = ACCEPTED[self._input_type]
        if tensor.datatype not in accepted:
            raise InvalidInputError(
                f"Datatype {tensor.datatype[:60]!r} is not accepted. {expected_tensor(self._input_type)}"
            )
        return tensor

    def _count_inputs(self, tensor: InputTensor) -> int:
        """Return the number of inputs in the tensor: its first dimension, except that a vector of numbers is one."""
        shape = tensor.shape
        if not shape:
            raise InvalidInputError(f"The shape has no dimension. {expected_tensor(self._input_type)}")
        if tensor.datatype == BYTES:
            if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
                raise InvalidInputError(
                    f"Shape {shape} is neither [batch] nor [batch, 1]. {expected_tensor(self._input_type)}"
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


KnownRequests = dict[bytes, tuple[int, InferRequest]]
"""JSON of requests with one input in binary, with the size of the body and all but the payload."""
_KNOWN: Final[dict[InputType, KnownRequests]] = {input_type: {} for input_type in InputType}


def known_requests(input_type: InputType) -> KnownRequests:
    """Return what was seen before of requests to applications of one type, for :func:`parse_known`."""
    return _KNOWN[input_type]


def parse_known(body: bytes, json_size: bytes | None, known: KnownRequests) -> tuple[bytes, InferRequest] | None:
    """Return the only payload in *body* and the request without it, if its JSON was seen before; else ``None``."""
    size_bytes = -1 if json_size is None or len(json_size) > _MAX_SIZE_DIGITS else _read_size(json_size)
    if size_bytes < 0:
        return None
    found = known.get(body[:size_bytes])
    if found is None or found[0] != len(body):
        return None
    return body[size_bytes:], found[1]


@lru_cache(maxsize=1024)
def _read_size(text: bytes) -> int:
    """Return the number of bytes that a header announces; -1 if it is no number."""
    return int(text) if _SIZE.match(text) else -1


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
    size_bytes = _read_size(text) if len(text) <= _MAX_SIZE_DIGITS else -1
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


def _too_many(count: int) -> InvalidInputError:
    return InvalidInputError(f"The tensor has {count} inputs or more, and a request may have {MAX_BATCH_INPUTS}.")
