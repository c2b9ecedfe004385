"""Predict requests as clients write them, and replies as they read them."""

from __future__ import annotations

import json
import math

import pytest

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.predict_body import format_prediction, format_predictions, parse_predict
from clipper_nb.protocol.predict_call import format_batch_request, format_request, parse_predictions, write_body


def endless_list():
    endless = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize(
    "value", [[1j], [object()], "\ud800", endless_list()], ids=["complex", "object", "half a character", "endless"]
)
def test_input_without_json_form_is_refused_before_sending(value):
    with pytest.raises(InvalidInputError, match="cannot be written as JSON"):
        format_request(InputType.STRINGS, value, is_batch=False, version=None)


def test_version_and_key_are_read_as_they_are_written():
    for body in (
        format_request(InputType.STRINGS, ["a"], is_batch=True, version="m:2", key="ada"),
        format_batch_request([b'"a"'], version="m:2", key="ada"),
    ):
        request = parse_predict(body, InputType.STRINGS)
        assert (request.payloads, request.version, request.key) == ([b"a"], "m:2", b"ada")


def test_client_reads_what_the_frontend_writes():
    reply = format_prediction(5, "[1, 2]", None, None)
    [prediction] = parse_predictions(reply, latency_s=0.25)
    assert prediction.output == [1, 2]
    assert prediction.query_id == 5
    assert prediction.latency_s == 0.25
    assert (prediction.default, prediction.reason, prediction.explanation) == (False, None, None)


def test_client_reads_a_batch_in_order():
    reply = format_predictions(
        [format_prediction(1, "a", None, None), format_prediction(2, "d", "not_linked", "No model.")]
    )
    first, second = parse_predictions(reply, latency_s=0.1)
    assert (first.output, first.default) == ("a", False)
    assert (second.output, second.default, second.reason) == ("d", True, "not_linked")
    assert second.explanation == "No model."


@pytest.mark.parametrize("version", [None, '1"x'])
@pytest.mark.parametrize(
    ("input_type", "values"),
    [
        (InputType.DOUBLES, [[1.0, 0.1, "NaN"], []]),
        (InputType.STRINGS, ["a", "\u20ac"]),
        (InputType.BYTES, ["AP8="]),
        (InputType.JSON, [{"a": math.inf}, None, [math.nan]]),
    ],
)
def test_inputs_written_one_by_one_are_the_same_request(input_type, values, version):
    written = [write_body(input_type, value) for value in values]
    body = format_batch_request(written, version=version)
    whole = format_request(input_type, values, is_batch=True, version=version)
    assert json.loads(body) == json.loads(whole)
    assert parse_predict(body, input_type) == parse_predict(whole, input_type)
