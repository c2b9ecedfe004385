"""Feedback as a query frontend reads it, what it keeps for it, and what a label says of an output. (pure)

``feedback_call.py`` is the clients' side.
"""

from __future__ import annotations

import contextlib
import math
from typing import Any, Final

import msgspec
import xxhash
from msgspec import UNSET, Raw, Struct, UnsetType

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import encode_input
from clipper_nb.protocol.predict_schema import DECODERS, describe_misfit
from clipper_nb.protocol.whole_numbers import RoundedNumberError

_EXPECTATION: Final = (
    'Send {"query_id": <of the answer>, "label": <the right output>}; or "score", from 0 (useless) to 1 (perfect), in '
    'place of "label"; or "key" or "input", for the last query with it, in place of "query_id".'
)
_NUMBER_TOLERANCE = 1e-9


class _Body(Struct, forbid_unknown_fields=True):
    query_id: int | UnsetType = UNSET
    key: str | int | UnsetType = UNSET
    input: Raw | UnsetType = UNSET
    uid: int | str | UnsetType = UNSET
    label: Any = UNSET
    score: float | UnsetType = UNSET


class FeedbackRequest(Struct, frozen=True, kw_only=True):
    """A checked feedback: which query is meant, and either a label or a score."""

    query_id: int | None = None
    key: str | None = None
    payload: bytes | None = None
    """Of the input that is meant."""
    label: Any = UNSET
    score: float | None = None


class Outcome(Struct, frozen=True):
    """What one version answered."""

    arm: str
    """``arm_of`` the version."""
    output: str | None
    """``None`` if it did not answer in time."""
    propensity: float | None = None
    """The probability with which it was asked, if the policy's learning needs that."""


class Answered(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answered query, kept for its feedback."""

    query_id: int
    outcomes: tuple[Outcome, ...]
    k: str = ""
    """Digest of its key."""
    i: str = ""
    """Digest of its input."""
    is_kept: bool = True
    """False if its outputs are not known any more."""


MAX_KEPT_OUTPUT_LENGTH = 2048
"""Longer outputs are not kept: they can have a score and no label."""
_decode_body = msgspec.json.Decoder(_Body).decode


def parse_feedback(body: bytes, input_type: InputType) -> FeedbackRequest:
    """Return the feedback in a body, ours or Clipper's ``{"uid", "input", "label"}``.

    Raises
    ------
    InvalidInputError
        The error says what is expected.
    """
    try:
        parsed = _decode_body(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InvalidInputError(f"{describe_misfit(exc)}. {_EXPECTATION}") from exc
    if sum(each is not UNSET for each in (parsed.query_id, parsed.key, parsed.input)) != 1:
        raise InvalidInputError(
            f"Send one of 'query_id', 'key' and 'input', for the query that is meant. {_EXPECTATION}"
        )
    if (parsed.label is UNSET) == (parsed.score is UNSET):
        raise InvalidInputError(f"Send one of 'label' and 'score', for how good its answer was. {_EXPECTATION}")
    score = None if parsed.score is UNSET else parsed.score
    if score is not None and not 0.0 <= score <= 1.0:
        raise InvalidInputError(f"score must be from 0 (useless) to 1 (perfect); it is {score:g}. {_EXPECTATION}")
    if parsed.input is UNSET:
        return FeedbackRequest(
            query_id=None if parsed.query_id is UNSET else parsed.query_id,
            key=None if parsed.key is UNSET else str(parsed.key),
            label=parsed.label,
            score=score,
        )
    user = None if parsed.uid in (UNSET, 0, "0", "") else str(parsed.uid)  # Clipper's uid 0 is any user
    return FeedbackRequest(key=user, payload=_payload_of(parsed.input, input_type), label=parsed.label, score=score)


def _payload_of(value: Raw, input_type: InputType) -> bytes:
    body = b'{"input":%b}' % bytes(value)
    try:
        return encode_input(input_type, DECODERS[input_type].decode(body).input)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, RoundedNumberError) as exc:
        raise InvalidInputError(f"{describe_misfit(exc)}. 'input' must be {input_type.expectation}.") from exc


def digest_of_key(key: bytes | None) -> str:
    """Return the digest by which a query with that key is found; a key may be a user's name."""
    return "" if key is None else xxhash.xxh3_64_hexdigest(key)


def digest_of_input(payload: bytes) -> str:
    """Return the digest by which a query with that input is found."""
    return xxhash.xxh3_128_hexdigest(payload)


def keepable(output: str) -> str | None:
    """Return an output as it is kept for a label; ``None`` if it is too long to be kept."""
    return output if len(output) <= MAX_KEPT_OUTPUT_LENGTH else None


def score_of(output: str, label: object, error_scale: float | None) -> float:
    """Return how good an output is, from 0 to 1.

    Parameters
    ----------
    output : str
        As the model returned it: JSON, or text.
    label : object
        The right output, as JSON values.
    error_scale : float or None
        For numbers: the absolute error that scores 0. Without it an output is right or wrong.
    """
    value = read_value(output)
    if value == label:
        return 1.0
    number, right = as_number(value), as_number(label)
    if number is None or right is None:
        return 0.0
    if error_scale is not None:
        error = _as_float(abs(number - right))
        return max(0.0, 1.0 - error / error_scale) if math.isfinite(error) else 0.0
    number, right = _exact(number), _exact(right)
    if isinstance(number, int) and isinstance(right, int):
        return float(number == right)  # identifiers: a neighbour of a large one is another one
    return float(math.isclose(number, right, rel_tol=_NUMBER_TOLERANCE, abs_tol=_NUMBER_TOLERANCE))


def read_value(output: str) -> Any:
    """Return the JSON value of an output, or its text if it is no JSON."""
    try:
        return msgspec.json.decode(output)
    except (msgspec.DecodeError, RecursionError):
        return output


def as_number(value: object) -> float | None:
    """Return a number, or a text that is one, or ``None``: the label "7" means the output 7.

    Whole numbers that a float holds stay whole; larger ones are infinite.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value if math.isfinite(_as_float(value)) else _as_float(value)
    if isinstance(value, str):
        for read in (int, float):
            with contextlib.suppress(ValueError):
                return as_number(read(value))
    return None


def _as_float(number: float) -> float:
    """Return a number as float; one that no float holds is infinite."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _exact(number: float) -> float:
    """Return a float that is certainly a whole number as one."""
    is_whole = isinstance(number, float) and number.is_integer() and abs(number) < 2**53
    return int(number) if is_whole else number


def can_average(output: object) -> bool:
    """Return whether an output, as a JSON value, is a number, or a list of numbers of one shape."""
    return flatten(output, []) is not None


def flatten(value: Any, numbers: list[float]) -> tuple[int, ...] | None:
    """Append the numbers of a JSON value, and return its shape; ``None`` if it is something else."""
    if not isinstance(value, list):
        number = as_number(value)
        if number is None or not math.isfinite(number):
            return None
        numbers.append(float(number))
        return ()
    shapes = {flatten(each, numbers) for each in value}
    if len(shapes) != 1 or None in shapes:
        return None
    (inner,) = shapes
    assert inner is not None
    return (len(value), *inner)
