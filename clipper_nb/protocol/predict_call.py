"""Predict requests as clients of ours write them, and the replies as they read them. (pure)

``predict_body.py`` is the query frontend's side. Clients need none of its parsers, so importing this takes less time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.json_inputs import write_json
from clipper_nb.protocol.non_finite import parse_json
from clipper_nb.protocol.records import Prediction

MAX_BATCH_INPUTS: Final = 16_384
"""Per request: each input costs some work besides its bytes."""
_encode: Final = msgspec.json.Encoder().encode


def format_request(
    input_type: InputType, input_value: Any, *, is_batch: bool, version: str | None, key: str | None = None
) -> bytes:
    """Return the body of a predict request for inputs as ``format_input`` returns them."""
    return write_body(input_type, {"input_batch" if is_batch else "input": input_value, **_target(version, key)})


def format_batch_request(written: Sequence[bytes], *, version: str | None, key: str | None = None) -> bytes:
    """Return the body of a predict request for a batch whose inputs are JSON already."""
    rest = b"".join(b',"%b":%b' % (name.encode(), _encode(value)) for name, value in _target(version, key).items())
    return b'{"input_batch":[%b]%b}' % (b",".join(written), rest)


def _target(version: str | None, key: str | None) -> dict[str, str]:
    """Return the fields that choose among the application's versions."""
    return {name: value for name, value in (("version", version), ("key", key)) if value is not None}


def write_body(input_type: InputType, body: Any) -> bytes:
    """Return a predict request, or a part of one, as JSON, with inputs as ``format_input`` returns them."""
    if input_type is InputType.JSON:
        return write_json(body)
    try:
        return _encode(body)
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidInputError(f"The input cannot be written as JSON: {exc}.") from exc


def parse_predictions(body: bytes, *, latency_s: float) -> list[Prediction]:
    """Return the answers in a successful reply's body, single or batch; NaN and infinities are floats again."""
    reply = parse_json(body)
    answers = reply.get("batch_predictions", [reply])
    return [
        Prediction(
            output=answer["output"],
            default=answer["default"],
            reason=answer.get("default_reason"),
            explanation=answer.get("default_explanation"),
            query_id=answer["query_id"],
            latency_s=latency_s,
            model=answer.get("model"),
            confidence=answer.get("confidence"),
            models_used=None if answer.get("models_used") is None else tuple(answer["models_used"]),
        )
        for answer in answers
    ]
