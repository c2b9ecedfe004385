"""Feedback is read as it was meant, from our bodies and from Clipper's; labels are compared as values."""

from __future__ import annotations

import datetime
import decimal
import json
import math
from typing import Any

import numpy
import pandas
import pytest

from clipper_nb.errors import InvalidInputError, InvalidRequestError
from clipper_nb.protocol.feedback import can_average, parse_feedback, score_of
from clipper_nb.protocol.feedback_call import UNSET, format_feedback
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.protocol.predict_body import parse_predict
from clipper_nb.protocol.records import Prediction


def parse(body: Any, input_type: InputType = InputType.DOUBLES) -> Any:
    return parse_feedback(json.dumps(body).encode(), input_type)


def test_query_is_named_by_id_or_key() -> None:
    assert parse({"query_id": 7, "label": None}).query_id == 7
    assert parse({"query_id": 7, "label": None}).label is None
    assert parse({"key": 5, "score": 1}).key == "5"
    assert parse({"key": "ann", "score": 0.5}).score == 0.5


@pytest.mark.parametrize(
    ("input_type", "value"),
    [(InputType.DOUBLES, [1, 2.5]), (InputType.INTEGERS, [1]), (InputType.STRINGS, "a"), (InputType.JSON, {"a": [1]})],
)
def test_clippers_body_means_the_input_that_was_asked(input_type: InputType, value: Any) -> None:
    asked = parse_predict(json.dumps({"input": value}).encode(), input_type).payloads[0]
    request = parse({"uid": 0, "input": value, "label": 1.0}, input_type)
    assert (request.payload, request.key, request.label) == (asked, None, 1.0)
    assert parse({"uid": "ann", "input": value, "label": 1.0}, input_type).key == "ann"


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ({"label": 1}, "Send one of 'query_id', 'key' and 'input'"),
        ({"query_id": 1, "key": "a", "label": 1}, "Send one of 'query_id', 'key' and 'input'"),
        ({"query_id": 1}, "Send one of 'label' and 'score'"),
        ({"query_id": 1, "label": 1, "score": 1}, "Send one of 'label' and 'score'"),
        ({"query_id": 1, "score": 1.1}, "score must be from 0 .*it is 1.1"),
        ({"query_id": 1, "score": "good"}, "Expected `float`"),
        ({"query_id": "1", "score": 1}, "Expected `int`"),
        ({"input": ["a"], "label": 1}, "'input' must be"),
        ({"input": [2**53 + 1], "label": 1}, "The whole number 9007199254740993 has more digits than a double"),
        ({"query_id": 1, "score": 1, "reward": 1}, "unknown field `reward`"),
        ([], "Expected `object`"),
    ],
)
def test_wrong_body_is_told_what_to_send(body: Any, cause: str) -> None:
    with pytest.raises(InvalidInputError, match=cause):
        parse(body)


@pytest.mark.parametrize(
    ("output", "label", "expected"),
    [
        ("7", 7, 1.0), ("7", "7", 1.0), ('"7"', 7, 1.0), ("7", 7.0, 1.0), ("7", 8, 0.0), ("cat", "cat", 1.0),
        ('"cat"', "cat", 1.0), ("cat", "dog", 0.0), ("true", True, 1.0), ("true", 1, 1.0), ("null", None, 1.0),
        ("[1,2]", [1, 2], 1.0), ('{"a":1}', {"a": 1}, 1.0), ('"NaN"', 7, 0.0), ("0.30000000000000004", 0.3, 1.0),
        ("nan", "nan", 1.0), ('"NaN"', "NaN", 1.0), ("1" + "0" * 400, 1, 0.0), ("1" + "0" * 400, 10**400, 1.0),
    ],
)  # fmt: skip
def test_label_is_compared_as_a_value(output: str, label: Any, expected: float) -> None:
    assert score_of(output, label, None) == expected


@pytest.mark.parametrize("right", [12345678901, 12345678901.0, "12345678901"])
@pytest.mark.parametrize(
    ("output", "expected"), [("12345678901", 1.0), ('"12345678901"', 1.0), ("12345678902", 0.0), ("12345678902.0", 0.0)]
)
def test_label_beside_a_large_whole_number_is_wrong(output: str, right: Any, expected: float) -> None:
    """They may be identifiers of customers or products."""
    assert score_of(output, right, None) == expected


def test_error_of_a_number_is_scored_by_its_scale() -> None:
    assert score_of("10", 12, 4.0) == 0.5
    assert score_of("10", 20, 4.0) == 0.0
    assert score_of('"NaN"', 20, 4.0) == 0.0
    assert score_of("cat", "cat", 4.0) == 1.0
    assert score_of("1" + "0" * 400, 20, 4.0) == 0.0


def test_only_numbers_of_one_shape_have_a_mean() -> None:
    assert all(map(can_average, (1, [1, 2.5], [[1, 2], [3, 4]])))
    assert not any(map(can_average, ("cat", [1, [2]], None, True, 10**400)))


def test_clients_write_what_frontends_read() -> None:
    prediction = Prediction(1, False, None, None, 17, 0.1)
    request = parse_feedback(format_feedback(prediction, None, numpy.int64(3), None), InputType.DOUBLES)
    assert (request.query_id, request.label) == (17, 3)
    request = parse_feedback(format_feedback(numpy.int64(5), None, UNSET, numpy.float32(0.5)), InputType.DOUBLES)
    assert (request.query_id, request.score) == (5, 0.5)
    assert parse_feedback(format_feedback(None, "ann", None, None), InputType.DOUBLES).label is None


@pytest.mark.parametrize(
    "value",
    [
        numpy.float32(0.5), numpy.array([1, 2]), pandas.Timestamp("2026-11-30 10:00"), datetime.date(2026, 11, 30),
        decimal.Decimal("1.50"), pandas.Series([1.5, 2.5]), {3: numpy.int64(1)}, b"text", [1.5, math.nan], -math.inf,
    ],
)  # fmt: skip
def test_label_means_what_the_same_output_means(value: Any) -> None:
    (output,) = encode_outputs([value], num_inputs=1)
    label = parse_feedback(format_feedback(1, None, value, None), InputType.DOUBLES).label
    assert score_of(output.decode(), label, None) == 1.0


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        ((None, None, 1, None), "Pass the prediction, or its query_id"),
        ((1, "ann", 1, None), "Pass the prediction, or its query_id"),
        ((1, None, UNSET, None), "Pass label=.*or score="),
        ((1, None, 1, 1.0), "Pass label=.*or score="),
        ((-1, None, 1, None), "query_id"),
        (("1", None, 1, None), "query_id"),
        ((1, None, UNSET, 2), "score must be a number from 0"),
        ((1, None, UNSET, float("nan")), "score must be a number from 0"),
        ((1, None, object(), None), "cannot be written as JSON: it is of type object"),
        ((1, None, {"a": [1j]}, None), "cannot be written as JSON: it at .*'a'.* is of type complex"),
        ((1, None, float("nan"), None), "label is nan, a missing value"),
        ((1, None, pandas.NaT, None), "label is NaT, a missing value"),
        ((1, None, pandas.NA, None), "label is <NA>, a missing value"),
        (([1, 2], None, [1, 1], None), "Feedback is for one query, and this is a list of 2"),
        ((numpy.array([1, 2]), None, 1, None), "query_id"),
        ((1, None, UNSET, numpy.array([0.0, 1.0])), "score must be a number from 0"),
        ((1, None, UNSET, pandas.Series([0.0, 1.0])), "score must be a number from 0"),
    ],
)
def test_careless_feedback_is_not_sent(arguments: Any, cause: str) -> None:
    with pytest.raises(InvalidRequestError, match=cause):
        format_feedback(*arguments)
