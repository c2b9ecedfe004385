"""Answers to predict requests are JSON, whatever the output is."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.predict_body import format_defaults, format_model, format_prediction, format_predictions
from clipper_nb.protocol.predict_call import parse_predictions
from tests.support.examples import examples
from tests.support.input_values import json_values


@pytest.mark.parametrize(
    ("output", "value"),
    [
        ("1", 1),
        ("-1.5", -1.5),
        ('{"a": [1, null]}', {"a": [1, None]}),
        ('"text"', "text"),
        ("true", True),
        ("null", None),
        (" 1 ", 1),
        ("text", "text"),
        ("", ""),
        ("01", "01"),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
        ("{", "{"),
        ('"', '"'),
        ("a\nb\0", "a\nb\0"),
        ("é😀", "é😀"),
        ("1 2", "1 2"),
    ],
)
def test_output_is_json_when_it_parses_and_text_when_not(output, value):
    answer = json.loads(format_prediction(7, output, None, None))
    assert answer == {"query_id": 7, "output": value, "default": False}
    assert type(answer["output"]) is type(value)


def test_reply_names_the_version_that_was_asked():
    model = format_model(ModelId("digits-net", "3"))
    assert json.loads(format_prediction(7, "1", None, None, model))["model"] == "digits-net:3"
    assert json.loads(format_prediction(7, "1", "model_error", "no", model))["model"] == "digits-net:3"
    assert [json.loads(one)["model"] for one in format_defaults([1, 2], "1", "model_error", "no", model)] == (
        2 * ["digits-net:3"]
    )
    (found,) = parse_predictions(format_prediction(7, "1", None, None, model), latency_s=0.1)
    assert found.model == "digits-net:3"
    (found,) = parse_predictions(format_prediction(7, "1", "not_linked", "no"), latency_s=0.1)
    assert found.model is None


def test_default_output_comes_with_reason_and_explanation():
    answer = json.loads(format_prediction(8, "-1.0", "model_error", 'it said "no"\n'))
    assert answer == {
        "query_id": 8,
        "output": -1.0,
        "default": True,
        "default_explanation": 'it said "no"\n',
        "default_reason": "model_error",
    }


@examples(300)
@given(st.text() | json_values.map(json.dumps), st.none() | st.text())
def test_every_answer_is_json(output, explanation):
    reason = None if explanation is None else "model_too_slow"
    reply = format_prediction(1, output, reason, explanation)
    answer = json.loads(reply)
    assert answer["default"] == (reason is not None)
    assert answer.get("default_explanation") == explanation
    try:
        expected = json.loads(output)
    except ValueError:
        expected = output
    shown = answer["output"]
    assert shown in (expected, output) or (isinstance(shown, float) and math.isclose(shown, expected))


@pytest.mark.parametrize("output", ["[" * 100_000, "[" * 100_000 + "]" * 100_000, "1" * 5000])
def test_output_that_no_parser_accepts_passes_as_text(output):
    assert json.loads(format_prediction(1, output, None, None))["output"] == output


def test_batch_keeps_the_order_of_its_answers():
    single = [format_prediction(number, str(number * 10), None, None) for number in range(3)]
    assert [answer["output"] for answer in json.loads(format_predictions(single))["batch_predictions"]] == [0, 10, 20]
    assert json.loads(format_predictions([])) == {"batch_predictions": []}
