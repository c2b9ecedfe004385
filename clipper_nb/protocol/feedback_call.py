"""Feedback as clients of ours send it, and the reply as they read it. (pure)"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import msgspec

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.number_rules import QUERY_ID
from clipper_nb.protocol.records import Prediction


class Unset:
    """The type of ``UNSET``, for a label that may be ``None``."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset()


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
        body["label"] = label
    try:
        return msgspec.json.encode(body, enc_hook=_as_builtin)
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidRequestError(f"The label cannot be written as JSON: {exc}.") from exc


def _query_id(query: object) -> int:
    if isinstance(query, Prediction):
        return query.query_id
    found = query.item() if hasattr(query, "item") else query  # users' numbers are often NumPy's
    QUERY_ID.check(found)
    assert isinstance(found, int)
    return found


def _score(score: Any) -> float:
    found = score.item() if hasattr(score, "item") else score
    if isinstance(found, bool):
        return float(found)
    if not isinstance(found, (int, float)) or math.isnan(found) or not 0 <= found <= 1:
        raise InvalidRequestError(f"score must be a number from 0 (useless) to 1 (perfect); it is {score!r:.60}.")
    return float(found)


def _as_builtin(value: Any) -> Any:
    """Return what an array or a number of NumPy is in JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"it has a {type(value).__name__}")
