"""Inputs of type ``json`` reach a function as the values that a client or a notebook meant."""

from __future__ import annotations

import datetime
import json
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.json_inputs import UnreadableJsonError, as_json_input, read_json, write_json


@pytest.mark.parametrize(
    "text",
    ["null", "true", "1", "1.0", "-0.0", '"text"', "[]", "{}", '{"a": [1, {"b": null}]}', str(2**64), str(-(10**30))],
)
def test_value_is_what_the_json_says(text: str) -> None:
    read = read_json(text.encode())
    assert repr(read) == repr(json.loads(text))


def test_text_in_a_buffer_is_read_too() -> None:
    assert read_json(memoryview(b'{"a": 1}')) == {"a": 1}


@pytest.mark.parametrize(
    ("text", "reason", "path"),
    [
        (b"", "truncated", "$"),
        (b"{", "truncated", "$"),
        (b"NaN", "malformed", "$"),
        (b"[0, [1, 1e999]]", "Number out of range", "$[1][1]"),
        (b'"\\ud800"', "truncated", "$"),
        (b'"\xff"', "utf-8", "$"),
        (b"[" * 101 + b"]" * 101, "nested more than 100", "$"),
        (b"[" * 5000 + b"]" * 5000, "recursion|nested more than 100", "$"),
    ],
)
def test_what_is_not_readable_names_the_part(text: bytes, reason: str, path: str) -> None:
    with pytest.raises(UnreadableJsonError, match=reason) as info:
        read_json(text)
    assert info.value.path == path


def test_many_lists_that_are_not_deep_are_read() -> None:
    assert read_json(b"[" + b"[]," * 200 + b"[]]") == [[]] * 201
    deepest = b"[" * 100 + b"]" * 100
    assert read_json(deepest) is not None


@pytest.mark.parametrize("value", [{"a": math.nan}, [math.inf, -math.inf], {"a": [{"b": math.nan, "c": "NaN"}]}])
def test_numbers_that_are_not_finite_arrive_as_floats(value: Any) -> None:
    assert repr(read_json(write_json(as_json_input(value)))) == repr(value)


@pytest.mark.parametrize("value", ["NaN", {"a": "Infinity"}, ["-Infinity"]])
def test_texts_that_are_spelled_like_them_stay_texts(value: Any) -> None:
    assert read_json(write_json(as_json_input(value))) == value


def test_foreign_client_sends_them_as_texts() -> None:
    assert read_json(b'{"a": "NaN", "b": null}') == {"a": "NaN", "b": None}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"n": np.int64(3), "x": np.float32(0.5)}, {"n": 3, "x": 0.5}),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        ({"when": datetime.date(2024, 2, 29), 1: (2, 3)}, {"when": "2024-02-29", "1": [2, 3]}),
        (2**70, 2**70),
        ({"price": Decimal("0.10")}, {"price": "0.10"}),
    ],
)
def test_notebooks_value_becomes_what_json_has(value: Any, expected: Any) -> None:
    assert read_json(write_json(as_json_input(value))) == expected


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (pd.DataFrame({"a": [1]}), "predict_batch"),
        (pd.Series({"a": 1}), r"row\.to_dict\(\) or row\.tolist"),
        (math.nan, "nan alone.*Send None"),
        ({"a": 1j}, r"at \['a'\] .*complex.*send \[z.real"),
        ([object()], "has no JSON"),
    ],
)
def test_value_without_json_is_refused_with_what_to_send(value: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        as_json_input(value)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="cannot be written as JSON"):
        write_json(as_json_input({"a": "\ud800"}))
