"""Inputs of type ``json``: what a client sends is what the function gets, and what does not fit is a 400."""

from __future__ import annotations

import json
import math
from typing import Any

import pandas as pd
import pytest

from clipper_nb import ClipperConnection, InvalidInputError, InvalidRequestError
from clipper_nb.deployers.python import create_endpoint
from tests.support.clusters import http_request

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

SLO_MICROS = 5_000_000


def shown(inputs: list[Any]) -> list[str]:
    return [repr(each) for each in inputs]


def post(conn: ClipperConnection, name: str, body: bytes) -> tuple[int, Any]:
    return http_request(conn.get_query_addr(), "POST", f"/{name}/predict", body)


@pytest.fixture(scope="module")
def echo(shared: ClipperConnection) -> str:
    """An application whose answers show what its function got."""
    create_endpoint(shared, "echo", "dict", shown, slo_micros=SLO_MICROS, text_outputs="text", sample_inputs=[{"a": 1}])
    return "echo"


@pytest.mark.parametrize(
    "value",
    [
        {"age": 22, "sex": "male", "cabins": [], "more": {"a": None}},
        [1, 2.0, -0.0, True, None, "é"],
        2**70,
        "text",
        None,
        {"missing": math.nan, "most": [math.inf, "NaN"]},
    ],
    ids=repr,
)
@pytest.mark.also_on_docker
def test_value_of_a_notebook_arrives_as_it_is(shared: ClipperConnection, echo: str, value: Any) -> None:
    assert shared.predict(echo, value).output == repr(value)
    answers = shared.predict_batch(echo, [value, {"other": 1}, value])
    assert [answer.output for answer in answers] == [repr(value), "{'other': 1}", repr(value)]


def test_value_of_any_client_arrives_as_its_json_says(shared: ClipperConnection, echo: str) -> None:
    status, reply = post(shared, echo, b'{"input": {"n": 12345678901234567890123, "x": 1.0, "a": "NaN", "b": null}}')
    assert status == 200
    assert reply["output"] == "{'n': 12345678901234567890123, 'x': 1.0, 'a': 'NaN', 'b': None}"


def test_rows_of_a_data_frame_are_objects(shared: ClipperConnection, echo: str) -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None], "t": pd.to_datetime(["2024-02-29", None])})
    assert [answer.output for answer in shared.predict_batch(echo, frame)] == [
        "{'a': 1, 'b': 'x', 't': '2024-02-29T00:00:00'}",
        "{'a': 2, 'b': None, 't': None}",
    ]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"input": 1e999}', "Number out of range - at `$.input`"),
        (b'{"input_batch": [1, "\xff"]}', "utf-8"),
        (b'{"age": 22}', "unknown field `age`"),
        (b'{"input_batch": {"a": 1}}', "Expected `array`"),
        (b'{"input": ' + b"[" * 101 + b"]" * 101 + b"}", "nested more than 100 levels"),
        (b'{"input": [' + b"1," * 100_000 + b"x]}", "malformed: invalid character (byte 200011)"),
        (b'{"input_batch": [' + b"1," * 3000 + b"1e999]}", "Number out of range"),
    ],
)
def test_what_is_not_json_is_refused(shared: ClipperConnection, echo: str, body: bytes, words: str) -> None:
    status, reply = post(shared, echo, body)
    assert status == 400
    assert words in reply["cause"]
    assert "This application's input type is 'json'" in reply["cause"]


def test_large_batch_and_large_input_are_answered(shared: ClipperConnection, echo: str) -> None:
    rows = [{"n": n, "text": "é" * 20} for n in range(2000)]
    status, reply = post(shared, echo, json.dumps({"input_batch": rows}, ensure_ascii=False).encode())
    assert status == 200
    assert [answer["output"] for answer in reply["batch_predictions"]] == [repr(row) for row in rows]
    status, reply = post(shared, echo, json.dumps({"input": rows * 3}).encode())
    assert status == 200
    assert reply["output"] == repr(rows * 3)


def test_equal_text_is_answered_from_the_cache(shared: ClipperConnection) -> None:
    calls: list[int] = []

    def count(inputs: list[Any]) -> list[int]:
        calls.extend(inputs)
        return [len(calls)] * len(inputs)

    create_endpoint(shared, "count-json", "json", count, slo_micros=SLO_MICROS)
    answers = [shared.predict("count-json", value).output for value in (1, 1, 2)]
    assert answers == [1, 1, 2]


def test_value_without_json_is_refused_before_sending(shared: ClipperConnection, echo: str) -> None:
    with pytest.raises(InvalidInputError, match=r"row\.to_dict\(\)"):
        shared.predict(echo, pd.Series({"a": 1}))
    with pytest.raises(InvalidInputError, match=r"Input 1 of the batch: .*complex"):
        shared.predict_batch(echo, [1, 1j])


def test_version_of_another_type_is_not_linked(shared: ClipperConnection, echo: str) -> None:
    shared.register_application("texts", "strings", "", SLO_MICROS)
    with pytest.raises(InvalidRequestError, match="json"):
        shared.link_model_to_app("texts", echo)
