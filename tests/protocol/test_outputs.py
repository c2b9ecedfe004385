"""A model's outputs as the text that travels."""

from __future__ import annotations

import json
from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.errors import PredictionError
from clipper_nb.protocol.outputs import encode_outputs
from tests.support.examples import examples


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("text", "text"),
        ('{"a": 1}', '{"a": 1}'),
        ("", ""),
        ("é😀", "é😀"),
        (np.str_("text"), "text"),
        (b"bytes", "bytes"),
        (bytearray(b"bytes"), "bytes"),
        ("é".encode(), "é"),
        (3, "3"),
        (0.1, "0.1"),
        (True, "true"),
        (None, "null"),
        (np.int32(3), "3"),
        (np.uint8(3), "3"),
        (np.float64(0.1), "0.1"),
        (np.float32(0.5), "0.5"),
        (np.bool_(True), "true"),
        (np.array(3), "3"),
        (np.array([1, 2]), "[1, 2]"),
        (np.array([[0.5], [1.5]]), "[[0.5], [1.5]]"),
        ([1, "a", None], '[1, "a", null]'),
        ((1, 2), "[1, 2]"),
        ({"label": "é", "score": np.float32(0.5)}, '{"label": "é", "score": 0.5}'),
        ({"scores": np.array([1.0, 2.0]), "raw": b"ab"}, '{"scores": [1.0, 2.0], "raw": "ab"}'),
        ({"tags": {"b", "a"}}, '{"tags": ["a", "b"]}'),
        ([], "[]"),
    ],
)
def test_output_becomes_text_or_json(output, text):
    assert encode_outputs([output], num_inputs=1) == [text.encode()]


@pytest.mark.parametrize(
    "outputs",
    [
        [1, 2, 3],
        (1, 2, 3),
        np.array([1, 2, 3]),
        range(1, 4),
        deque([1, 2, 3]),
        (number for number in (1, 2, 3)),
        map(int, "123"),
        {1: "a", 2: "b", 3: "c"}.keys(),
    ],
    ids=lambda outputs: type(outputs).__name__,
)
def test_any_sequence_of_outputs_keeps_its_order(outputs):
    assert encode_outputs(outputs, num_inputs=3) == [b"1", b"2", b"3"]


@pytest.mark.parametrize(
    "outputs",
    [
        np.array([0.1, -0.0, 1e300, float("nan"), float("-inf")]),
        np.array([0.1, 1e30], dtype=np.float32),
        np.array([2**63 - 1, -(2**63)]),
        np.array([True, False]),
        np.array(["text", "é"]),
        np.array(["a", None, 0.5, [1]], dtype=object),
    ],
    ids=lambda outputs: str(outputs.dtype),
)
def test_array_of_outputs_travels_as_its_elements_do(outputs):
    one_by_one = [encode_outputs([output], num_inputs=1)[0] for output in outputs]
    assert encode_outputs(outputs, num_inputs=len(outputs)) == one_by_one


@given(st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(), st.booleans()))
def test_number_is_written_as_json_writes_it(number):
    assert encode_outputs([number], num_inputs=1) == [json.dumps(number).encode()]


@pytest.mark.parametrize(
    ("output", "as_json", "as_text"),
    [
        ("1E5", b"1E5", b'"1E5"'),
        ("é", "é".encode(), '"é"'.encode()),
        (np.str_("null"), b"null", b'"null"'),
        (b"2.10", b"2.10", b'"2.10"'),
        (1.5, b"1.5", b"1.5"),
        ({"a": "1E5"}, b'{"a": "1E5"}', b'{"a": "1E5"}'),
        (None, b"null", b"null"),
    ],
)
def test_text_outputs_decide_about_text_alone(output, as_json, as_text):
    assert encode_outputs([output], num_inputs=1) == [as_json]
    assert encode_outputs([output], num_inputs=1, text_outputs="text") == [as_text]


def test_rows_of_a_matrix_are_outputs():
    assert encode_outputs(np.array([[1, 2], [3, 4]]), num_inputs=2) == [b"[1, 2]", b"[3, 4]"]


@pytest.mark.parametrize("outputs", [[], np.array([]), iter([])])
def test_no_inputs_have_no_outputs(outputs):
    assert encode_outputs(outputs, num_inputs=0) == []


@pytest.mark.parametrize(
    "outputs",
    [None, 3, 0.5, np.float64(0.5), "ab", b"ab", {0: "a", 1: "b"}, object()],
    ids=lambda outputs: type(outputs).__name__,
)
def test_outputs_that_are_not_a_list_are_refused(outputs):
    with pytest.raises(PredictionError, match="must return a list with one output per input") as info:
        encode_outputs(outputs, num_inputs=2)
    assert f"returned {type(outputs).__name__}" in str(info.value)


def test_array_without_a_dimension_is_refused():
    with pytest.raises(PredictionError, match="one output per input"):
        encode_outputs(np.array(3.0), num_inputs=1)


@pytest.mark.parametrize("outputs", [{"a", "b"}, frozenset({"a", "b"})], ids=["set", "frozenset"])
def test_outputs_without_an_order_are_refused(outputs):
    """A set would hand each query the answer of any other."""
    with pytest.raises(PredictionError, match="one output per input"):
        encode_outputs(outputs, num_inputs=2)


@pytest.mark.parametrize(("outputs", "num_outputs"), [([], 0), ([1], 1), ([1, 2, 3], 3), (iter([1]), 1)])
def test_wrong_number_of_outputs_is_refused(outputs, num_outputs):
    with pytest.raises(PredictionError, match=f"returned {num_outputs} outputs for 2 inputs"):
        encode_outputs(outputs, num_inputs=2)


def endless_list():
    endless = []
    endless.append(endless)
    return endless


@pytest.mark.parametrize(
    "output",
    [object(), 1j, b"\xff", "\ud800", {"a": object()}, {(1, 2): 3}, [b"\xff"], {1, "a"}, endless_list(), lambda: 1],
    ids=["object", "complex", "bytes", "surrogate", "in a dict", "key", "in a list", "set", "endless", "function"],
)
def test_output_that_has_no_text_is_refused_with_its_position(output):
    with pytest.raises(PredictionError, match="Output 1 of the model has type") as info:
        encode_outputs(["fine", output], num_inputs=2)
    assert type(output).__name__ in str(info.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@examples(150)
@given(st.lists(json_values, max_size=5))
def test_every_json_value_arrives_as_it_is(outputs):
    encoded = encode_outputs(outputs, num_inputs=len(outputs))
    for output, text in zip(outputs, encoded, strict=True):
        assert text.decode() == output if isinstance(output, str) else json.loads(text) == output
