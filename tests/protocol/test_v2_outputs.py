"""Outputs of a model as tensors: their kind is that of what was returned, and a default never changes it."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.protocol.v2_outputs import (
    DefaultMisfitError,
    Row,
    format_binary,
    format_json,
    make_tensors,
    read_output,
)

scalars = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=4)
arrays = st.sampled_from([[], [1], [1, 2], [1.5, 2.0], ["a", "b"], [True, False], [[1, 2], [3, 4]], [[1], [2, 3]]])


def rows_of(outputs: list[Any], defaults: list[str] | None = None) -> list[Row]:
    """Return the rows of what a model returned, and of default outputs after them."""
    texts = [output.decode() for output in encode_outputs(outputs, num_inputs=len(outputs), text_outputs="text")]
    late = [Row(read_output(text), "model_too_slow", "Too slow.") for text in defaults or []]
    return [Row(read_output(text)) for text in texts] + late


def output_of(rows: list[Row]) -> tuple[str, tuple[int, ...], list[Any], bytes]:
    """Return the datatype, shape, JSON data and bytes of the output tensor."""
    tensor = make_tensors(rows)["output"]
    data = json.loads(b"[" + b",".join(format_json(tensor)) + b"]")
    return tensor.datatype, tensor.shape, data, b"".join(format_binary(tensor))


@pytest.mark.parametrize(
    ("outputs", "datatype", "shape", "data"),
    [
        ([1, 2], "INT64", (2,), [1, 2]),
        ([1.0, 2.5], "FP64", (2,), [1.0, 2.5]),
        ([1, 2.5], "FP64", (2,), [1, 2.5]),
        ([True, False], "BOOL", (2,), [True, False]),
        (["a", "é"], "BYTES", (2,), ["a", "é"]),
        ([[1.0, 2.0], [3.0, 4.0]], "FP64", (2, 2), [1.0, 2.0, 3.0, 4.0]),
        ([[1, 2], [3.5, 4.0]], "FP64", (2, 2), [1, 2, 3.5, 4.0]),
        ([[[1, 2]], [[3, 4]]], "INT64", (2, 1, 2), [1, 2, 3, 4]),
        ([["a", "b"]], "BYTES", (1, 2), ["a", "b"]),
        ([[], []], "FP64", (2, 0), []),
        ([math.nan, math.inf, -math.inf, 1.0], "FP64", (4,), ["NaN", "Infinity", "-Infinity", 1.0]),
        ([2**63], "BYTES", (1,), ["9223372036854775808"]),
        ([2**53 + 1, 0.5], "BYTES", (2,), ["9007199254740993", "0.5"]),
        ([[1], [1, 2]], "BYTES", (2,), ["[1]", "[1, 2]"]),
        ([[1, "a"]], "BYTES", (1,), ['[1, "a"]']),
        ([1, "a"], "BYTES", (2,), ["1", '"a"']),
        ([True, 1], "BYTES", (2,), ["true", "1"]),
        ([None, 1.0], "BYTES", (2,), ["null", "1.0"]),
        ([{"a": 1}], "BYTES", (1,), ['{"a": 1}']),
        ([], "FP64", (0,), []),
    ],
)
def test_datatype_and_shape_are_those_of_the_outputs(
    outputs: list[Any], datatype: str, shape: tuple[int, ...], data: list[Any]
) -> None:
    got = output_of(rows_of(outputs))
    assert (got[0], got[1]) == (datatype, shape)
    assert (
        [json.loads(text) for text in got[2]] == outputs if "BYTES" in datatype and data != got[2] else got[2] == data
    )


@given(st.lists(scalars, max_size=4) | st.lists(arrays, max_size=3))
def test_each_output_can_be_read_back(outputs: list[Any]) -> None:
    """From both forms, with NumPy."""
    rows = rows_of(outputs)
    datatype, shape, data, raw = output_of(rows)
    assert len(data) == math.prod(shape)
    if datatype == "BYTES":
        texts, at = [], 0
        while at < len(raw):
            (size,) = struct.unpack_from("<I", raw, at)
            texts.append(raw[at + 4 : at + 4 + size].decode())
            at += 4 + size
        assert texts == data
        if make_tensors(rows)["output"].kind == "text":
            assert np.array(data, object).reshape(shape).tolist() == outputs
        else:
            assert encode_outputs(outputs, num_inputs=len(outputs), text_outputs="text") == [t.encode() for t in texts]
        return
    dtype = {"FP64": np.float64, "INT64": np.int64, "BOOL": np.bool_}[datatype]
    got = np.frombuffer(raw, dtype).reshape(shape)
    np.testing.assert_array_equal(got, np.array(outputs, dtype).reshape(shape))
    np.testing.assert_array_equal(np.array(data, dtype).reshape(shape), got)


def test_text_that_is_no_json_is_text() -> None:
    answers = [Row(read_output("spam")), Row(read_output('"egg"'))]
    assert output_of(answers)[2] == ["spam", "egg"]
    assert output_of([*answers, Row(read_output("1"))])[2] == ['"spam"', '"egg"', "1"]


@pytest.mark.parametrize(
    ("outputs", "default", "data"),
    [
        ([1.0], "-1", [1.0, -1]),
        ([1], "-1", [1, -1]),
        ([1], "-1.0", [1, -1]),
        (["a"], "unknown", ["a", "unknown"]),
        (["a"], "-1", ["a", "-1"]),
        ([[1.0, 2.0]], "[0.0, 0.0]", [1.0, 2.0, 0.0, 0.0]),
        ([{"a": 1}], "null", ['{"a": 1}', "null"]),
        ([], "-1", [-1]),
        ([], "unknown", ["unknown"]),
    ],
)
def test_default_output_is_an_element_that_is_marked(outputs: list[Any], default: str, data: list[Any]) -> None:
    rows = rows_of(outputs, [default])
    tensors = make_tensors(rows)
    assert output_of(rows)[2] == data
    assert (tensors["default"].datatype, tensors["default"].rows) == ("BOOL", [False] * len(outputs) + [True])
    assert tensors["default_reason"].rows == [""] * len(outputs) + ["model_too_slow"]


@pytest.mark.parametrize(
    ("outputs", "default"),
    [
        ([1.0], "unknown"),
        ([1.0], "null"),
        ([1], "0.5"),
        ([1], "9223372036854775808"),
        ([True], "0"),
        (["a"], "null"),
        ([[1.0, 2.0]], "0.0"),
        ([[1.0, 2.0]], "[0.0]"),
        ([], "null"),
    ],
)
def test_default_that_fits_no_tensor_is_an_error(outputs: list[Any], default: str) -> None:
    with pytest.raises(DefaultMisfitError, match=r"Too slow\. The default output is no value") as caught:
        make_tensors(rows_of(outputs, [default]))
    assert caught.value.reason == "model_too_slow"


def test_wanted_outputs_are_made_and_defaults_are_always_told() -> None:
    rows = rows_of([1.0])
    assert list(make_tensors(rows)) == ["output"]
    assert list(make_tensors(rows, ["default"])) == ["default"]
    assert list(make_tensors(rows_of([1.0], ["0"]), ["output"])) == ["output", "default", "default_reason"]


def test_many_rows_are_formatted_in_parts() -> None:
    tensor = make_tensors(rows_of([float(number) for number in range(1_000)]))["output"]
    assert len(list(format_json(tensor))) == len(list(format_binary(tensor))) == 4
