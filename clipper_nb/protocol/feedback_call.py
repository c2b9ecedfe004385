"""Feedback as clients of ours send it, and the reply as they read it. (pure)"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.json_values import NoJsonError, json_encoder, to_json_value
from clipper_nb.protocol.non_finite import quote_non_finite
from clipper_nb.protocol.number_rules import QUERY_ID
from clipper_nb.protocol.records import Prediction


class Unset:
    """The type of ``UNSET``, for a label that may be ``None``."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()
_json: Final = json_encoder(allow_nan=True)


@dataclass(frozen=True)
class Feedback:
    """What became of one feedback.

    Attributes
    ----------
    counted : bool
        Whether it was counted; each query is counted once.
    query_id : int
        The query that it was matched to.
    scores : dict of str to float
        What was counted for each version that answered, from 0 to 1.
    cause : str
        Why it was not counted; empty if it was.
    """

    counted: bool
    query_id: int
    scores: dict[str, float] = field(default_factory=dict)
    cause: str = ""


def format_feedback(query: object, key: str | None, label: object, score: object) -> bytes:
    """Return the body of a feedback; *key* is checked.

    Raises
    ------
    InvalidRequestError
        Neither or both of *query* and *key*, or of *label* and *score*, are given, or one cannot be sent.
    """
    if (query is None) == (key is None):
        raise InvalidRequestError("Pass the prediction, or its query_id; or key=, for the last query with that key.")
    if (label is UNSET) == (score is None):
        raise InvalidRequestError(
            "Pass label=, the right output, which is compared with the one that was answered; or score=, from 0 "
            "(useless) to 1 (perfect)."
        )
    body: dict[str, Any] = {"key": key} if query is None else {"query_id": _query_id(query)}
    if label is UNSET:
        body["score"] = _score(score)
    else:
        body["label"] = _label(label)
    try:
        return quote_non_finite(_json(body)).encode()
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidRequestError(f"The label cannot be written as JSON: {exc}.") from exc


def _query_id(query: object) -> int:
    if isinstance(query, Prediction):
        return query.query_id
    if isinstance(query, Sequence) and not isinstance(query, str):
        raise InvalidRequestError(
            f"Feedback is for one query, and this is a {type(query).__name__} of {len(query)}. Call feedback() for "
            "each: for prediction, label in zip(predictions, labels)."
        )
    found = _plain_number(query)  # users' numbers are often NumPy's
    QUERY_ID.check(found)
    assert isinstance(found, int)
    return found


def _score(score: Any) -> float:
    found = _plain_number(score)
    if isinstance(found, bool):
        return float(found)
    if not isinstance(found, (int, float)) or math.isnan(found) or not 0 <= found <= 1:
        raise InvalidRequestError(f"score must be a number from 0 (useless) to 1 (perfect); it is {score!r:.60}.")
    return float(found)


def _plain_number(value: Any) -> object:
    """Return a number of NumPy, or an array of one, as Python's; anything else as it is."""
    return value.item() if hasattr(value, "item") and getattr(value, "size", 0) == 1 else value


def _label(label: object) -> Any:
    """Return a label made of what JSON has, by the rules for outputs, which it is compared with.

    A missing value of a data frame is refused: sent as ``null``, it would count as wrong against each version.
    """
    try:
        plain = to_json_value(label)
    except NoJsonError as exc:
        where = f"at {''.join(exc.path[:4])} " if exc.path else ""
        reason = f"{where}{exc}".replace("return ", "send ")
        raise InvalidRequestError(f"The label cannot be written as JSON: it {reason}.") from exc
    is_nan = isinstance(plain, float) and math.isnan(plain)
    if is_nan or (plain is None and label is not None):
        raise InvalidRequestError(
            f"label is {label!r}, a missing value, which says of no output whether it is right. Leave out the queries "
            "whose label is not known; None means that null is the right output."
        )
    return plain
