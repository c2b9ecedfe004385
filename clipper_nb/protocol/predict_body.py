"""Bodies of ``POST /<application>/predict``: parsed directly into payloads, answered as bytes."""

from __future__ import annotations

import sys
from typing import Any, Final, NamedTuple

import msgspec
import simdjson
from msgspec import UNSET

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import encode_input
from clipper_nb.protocol.json_inputs import MAX_CHECKED_SIZE_BYTES
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS
from clipper_nb.protocol.predict_schema import DECODERS, describe_misfit
from clipper_nb.protocol.whole_numbers import RoundedNumberError, may_be_rounded


class PredictRequest(NamedTuple):
    """One predict request: encoded inputs in order, and whether the answer is a batch."""

    payloads: list[bytes]
    is_batch: bool
    version: str | None
    key: bytes | None = None
    """By which an application with several targets chooses one."""


TEXT_TYPES = (InputType.STRINGS, InputType.BYTES)
"""Types whose inputs are text in JSON."""
_LIST_TYPES: Final = (InputType.INTEGERS, InputType.FLOATS, InputType.DOUBLES)
MAX_INPUTS_AT_ONCE: Final = 256
"""A request with more inputs is large."""
SMALL_BODY_SIZE_BYTES: Final = 1024
"""A smaller body is never large."""
_LARGE_BODY_SIZE_BYTES: Final = 256 * 1024
_LARGE_JSON_SIZE_BYTES: Final = MAX_CHECKED_SIZE_BYTES
"""Of a body whose inputs are JSON: to check them takes more time."""
_SPACED_LIST: Final = b'{"input": ['
_DENSE_LIST: Final = b'{"input":['
_LITTLE_ENDIAN: Final = sys.byteorder == "little"
_parse_json: Final = simdjson.Parser().parse
_parse_any: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


def parse_predict(body: bytes, input_type: InputType) -> PredictRequest:
    """Return the request in *body*. Payloads of the type ``json`` are checked later (``json_check.py``).

    Raises
    ------
    InvalidInputError
        The body is not JSON, not an object, has both or neither of ``input`` and ``input_batch``, an unknown
        key, a value that does not fit, or too many inputs; the error names the first bad position and what is expected.
    """
    if len(body) > _LARGE_BODY_SIZE_BYTES and input_type in _LIST_TYPES and body.count(b"[") > MAX_BATCH_INPUTS + 1:
        raise too_many_inputs(input_type)  # before a list is created for each
    if input_type is InputType.DOUBLES:
        payload = parse_one_list_of_doubles(body)
        if payload is not None:
            return PredictRequest([payload], is_batch=False, version=None)
    try:
        if input_type is InputType.JSON and not body.isascii():
            body.decode()  # the values are not decoded here
        parsed = DECODERS[input_type].decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidInputError(f"{describe_misfit(exc)}. {expectation(input_type)}") from exc
    version = None if parsed.version is UNSET else str(parsed.version)
    key = None if parsed.key is UNSET else str(parsed.key).encode()
    if parsed.input is not UNSET:
        if parsed.input_batch is not UNSET:
            raise InvalidInputError(f"The body has both 'input' and 'input_batch'. {expectation(input_type)}")
        return PredictRequest([_payload(input_type, parsed.input)], is_batch=False, version=version, key=key)
    if parsed.input_batch is UNSET:
        raise InvalidInputError(f"The body has neither 'input' nor 'input_batch'. {expectation(input_type)}")
    if len(parsed.input_batch) > MAX_BATCH_INPUTS:
        raise too_many_inputs(input_type)
    return PredictRequest(encode_batch(input_type, parsed.input_batch), is_batch=True, version=version, key=key)


def encode_batch(input_type: InputType, values: list[Any], num_before: int = 0) -> list[bytes]:
    """Return the payloads of checked values, of which the first is input *num_before* of its batch.

    Raises
    ------
    InvalidInputError
        A double has not the digits of a whole number.
    """
    payloads: list[bytes] = []
    try:
        for value in values:
            payloads.append(encode_input(input_type, value))
    except RoundedNumberError as exc:
        raise rounded(exc, f"$.input_batch[{num_before + len(payloads)}]", 0, input_type) from exc
    return payloads


def _payload(input_type: InputType, value: Any) -> bytes:
    try:
        return encode_input(input_type, value)
    except RoundedNumberError as exc:
        raise rounded(exc, "$.input", 0, input_type) from exc


def rounded(exc: RoundedNumberError, path: str, num_before: int, input_type: InputType) -> InvalidInputError:
    """Return the error for a number of the input at *path*; *num_before* numbers of it were encoded before."""
    return InvalidInputError(f"{exc.sentence} - at `{path}[{num_before + exc.position}]`. {expectation(input_type)}")


def parse_one_list_of_doubles(body: bytes) -> bytes | None:
    """Return the payload of ``{"input": [numbers]}``, the usual body, without creating Python numbers.

    ``None`` means that the body is something else, or wrong; ``parse_predict`` decides.
    """
    if body.startswith(_SPACED_LIST):
        numbers = body[len(_SPACED_LIST) - 1 : -1]
    elif body.startswith(_DENSE_LIST):
        numbers = body[len(_DENSE_LIST) - 1 : -1]
    else:
        return None
    # A list alone is parsed: with another key after it, it is no JSON. Lists in it would be taken for their elements.
    if not body.endswith(b"}") or numbers.rfind(b"[") or not _LITTLE_ENDIAN:
        return None
    return _doubles_in(numbers)


def doubles_of(elements: bytes) -> bytes | None:
    """Return the payload of the numbers in *elements*, with commas between; ``None`` if they are something else."""
    if not _LITTLE_ENDIAN or b"[" in elements:
        return None
    return _doubles_in(b"[" + elements + b"]")


def _doubles_in(numbers: bytes) -> bytes | None:
    try:
        parsed: Any = _parse_json(numbers)
        payload = bytes(parsed.as_buffer(of_type="d"))
    except (ValueError, TypeError, AttributeError, RuntimeError):
        return None
    return None if may_be_rounded(payload) else payload


def is_large(body: bytes, input_type: InputType) -> bool:
    """Return whether parsing the body would block other requests for more than about a millisecond."""
    if len(body) <= SMALL_BODY_SIZE_BYTES:
        return False
    if len(body) > _LARGE_BODY_SIZE_BYTES:
        return True
    if input_type is InputType.JSON:
        return len(body) > _LARGE_JSON_SIZE_BYTES or _has_many_values(body)
    if input_type in TEXT_TYPES:
        return _has_more(body, b'"', 2 * MAX_INPUTS_AT_ONCE + 10)  # quotes besides
    return _has_more(body, b"[", MAX_INPUTS_AT_ONCE + 1)


def _has_many_values(body: bytes) -> bool:
    """Return whether it has many inputs of the type ``json``, whose number shows only when it is parsed."""
    if not _has_more(body, b",", MAX_INPUTS_AT_ONCE - 1):
        return False
    try:
        batch = DECODERS[InputType.JSON].decode(body).input_batch
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False  # which is reported at once
    return batch is not UNSET and len(batch) > MAX_INPUTS_AT_ONCE


def _has_more(body: bytes, mark: bytes, count: int) -> bool:
    """Return whether *mark* is in *body* more often; searching for the usual few is faster than counting."""
    position = -1
    for _ in range(count + 1):
        position = body.find(mark, position + 1)
        if position < 0:
            return False
    return True


def too_many_inputs(input_type: InputType) -> InvalidInputError:
    """Return the error for more inputs than one request may have."""
    return InvalidInputError(f"More than {MAX_BATCH_INPUTS} inputs - at `$.input_batch`. {expectation(input_type)}")


def expectation(input_type: InputType) -> str:
    """Return a description of a valid body, for the client that sent another one."""
    return (
        f"This application's input type is '{input_type}': send a JSON object with 'input' ({input_type.expectation}) "
        "or 'input_batch' (a list of such inputs), and optionally 'version' (text) and 'key' (text)."
    )


def format_model(model_id: ModelId) -> bytes:
    """Return the part of a reply that names the version that was asked."""
    return b',"model":%b' % _encode(str(model_id))


def format_confidence(confidence: float, models: list[str]) -> bytes:
    """Return the part of a reply that several versions made: how far they agree, and which of them answered."""
    return b',"confidence":%b,"models_used":%b' % (_encode(round(confidence, 6)), _encode(models))


def format_prediction(
    query_id: int, output: str, reason: str | None, explanation: str | None, model: bytes = b""
) -> bytes:
    """Return the JSON of one answer; *output* is included as JSON if it is JSON, else as text.

    *model* is the result of ``format_model`` for the version that was asked, or empty if there was none.
    """
    if reason is None:
        return b'{"query_id":%d,"output":%b,"default":false%b}' % (query_id, _output_as_json(output), model)
    return b'{"query_id":%d,"output":%b,"default":true,"default_explanation":%b,"default_reason":"%b"%b}' % (
        query_id, _output_as_json(output), _encode(explanation), reason.encode(), model,
    )  # fmt: skip


def format_defaults(
    query_ids: list[int], output: str, reason: str, explanation: str, model: bytes = b""
) -> list[bytes]:
    """Return the JSON of several equal answers."""
    rest = format_prediction(0, output, reason, explanation, model).removeprefix(b'{"query_id":0')
    return [b'{"query_id":%d%b' % (query_id, rest) for query_id in query_ids]


def format_predictions(predictions: list[bytes]) -> bytes:
    """Return the JSON of a batch of formatted answers."""
    return b'{"batch_predictions":[' + b",".join(predictions) + b"]}"


def _output_as_json(output: str) -> bytes:
    try:
        _parse_any(output)
    except (msgspec.DecodeError, RecursionError):
        return _encode(output)
    return output.encode()
