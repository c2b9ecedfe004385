"""Replies to inference requests: JSON first, and what is binary after it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.v2_body import InferRequest
from clipper_nb.protocol.v2_outputs import Row, read_output
from clipper_nb.protocol.v2_reply import (
    ONE_NUMBER,
    InferReplyBody,
    describe_model,
    format_error,
    format_names,
    format_one_number,
)


def reply_to(rows: list[Row], outputs: dict[str, bool] | None = None, *, is_binary: bool = False) -> InferReplyBody:
    """Return the formatted reply."""
    request = InferRequest([], None, outputs or {}, is_binary, None)
    reply = InferReplyBody("app", "1", "7", request, rows)
    assert all(reply.steps())
    return reply


def parse(reply: InferReplyBody) -> tuple[dict[str, Any], bytes]:
    """Return the JSON and what follows it."""
    size = len(reply.body) if reply.json_size_bytes is None else reply.json_size_bytes
    return json.loads(reply.body[:size]), reply.body[size:]


ROWS = [Row(read_output("1.5")), Row(read_output("2.0"))]
LATE = [*ROWS, Row(read_output("0"), "model_error", "It raised.")]


def test_reply_in_json_has_flat_data() -> None:
    reply = reply_to([Row(read_output("[1, 2]")), Row(read_output("[3, 4]"))])
    output = {"name": "output", "datatype": "INT64", "shape": [2, 2], "data": [1, 2, 3, 4]}
    assert parse(reply) == ({"model_name": "app", "model_version": "1", "id": "7", "outputs": [output]}, b"")
    assert reply.json_size_bytes is None


def test_reply_without_a_version_has_none() -> None:
    reply = InferReplyBody("app", None, "", InferRequest([], None, {}, False, None), ROWS)
    assert all(reply.steps())
    assert parse(reply)[0].keys() == {"model_name", "id", "outputs"}


def test_binary_outputs_follow_the_json_in_their_order() -> None:
    head, raw = parse(reply_to(LATE, {"default_reason": True, "output": True, "default": False}))
    assert [output["name"] for output in head["outputs"]] == ["default_reason", "output", "default"]
    sizes = [output.get("parameters", {}).get("binary_data_size") for output in head["outputs"]]
    assert sizes == [len(raw) - 24, 24, None]
    assert head["outputs"][2]["data"] == [False, False, True]
    assert np.frombuffer(raw[-24:]).tolist() == [1.5, 2.0, 0.0]
    assert raw[:-24] == b"\0\0\0\0" * 2 + b"\x0b\0\0\0model_error"


def test_unnamed_outputs_are_binary_if_the_request_says_so() -> None:
    head, raw = parse(reply_to(LATE, {"output": False}, is_binary=True))
    assert ["data" in output for output in head["outputs"]] == [True, False, False]
    assert raw[:3] == b"\0\0\1"


def test_kind_of_a_bytes_output_is_told() -> None:
    content_types = {"spam": "str", '{"a": 1}': "json", "1.5": None}
    for text, content_type in content_types.items():
        [output] = parse(reply_to([Row(read_output(text))]))[0]["outputs"]
        assert output.get("parameters", {}).get("content_type") == content_type


def test_form_of_the_models_own_outputs_is_remembered() -> None:
    assert reply_to(LATE).output_form == ("FP64", ())
    assert reply_to([Row(read_output("[[1], [2]]"))]).output_form == ("INT64", (2, 1))
    assert reply_to(LATE[2:]).output_form is None
    assert reply_to(ROWS, {"default": False}).output_form is None


@pytest.mark.parametrize(
    ("input_type", "datatype", "shape"),
    [
        (InputType.DOUBLES, "FP64", [-1, -1]),
        (InputType.FLOATS, "FP32", [-1, -1]),
        (InputType.INTEGERS, "INT32", [-1, -1]),
        (InputType.BYTES, "BYTES", [-1]),
        (InputType.STRINGS, "BYTES", [-1]),
        (InputType.JSON, "BYTES", [-1]),
    ],
)
def test_metadata_tells_what_an_application_accepts(input_type: InputType, datatype: str, shape: list[int]) -> None:
    described = describe_model("app", input_type, ["1", "2"], ("FP64", (3,)))
    assert described == {
        "name": "app",
        "versions": ["1", "2"],
        "platform": f"clipper_nb_{input_type}",
        "inputs": [{"name": "input", "datatype": datatype, "shape": shape}],
        "outputs": [{"name": "output", "datatype": "FP64", "shape": [-1, 3]}],
    }


@pytest.mark.parametrize("output", ["1.5", "-0.0", "1e300", "5e-324", " 2.5"])
@pytest.mark.parametrize("is_binary", [False, True])
def test_one_number_is_formatted_as_any_other_output(output: str, is_binary: bool) -> None:
    reply = reply_to([Row(read_output(output))], is_binary=is_binary)
    assert format_one_number(format_names("app", "1"), "7", output, is_binary) == (reply.json_size_bytes, reply.body)
    assert reply.output_form == ONE_NUMBER


@pytest.mark.parametrize("output", ["1", "true", "[1.5]", '"NaN"\t', "NaN", "spam", "", '"1.5"', "1e999", "[" * 5_000])
def test_any_other_output_is_no_number(output: str) -> None:
    assert format_one_number(b"", "7", output, False) is None


def test_failure_has_one_text() -> None:
    assert json.loads(format_error('a "b"')) == {"error": 'a "b"'}
