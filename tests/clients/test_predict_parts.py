"""Batches in parts."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clipper_nb.clients.predict_parts import Part, PartLimits, make_parts
from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_types import InputType


def parts_of(input_type: InputType, batch: Any, limits: PartLimits | None, version: str | None = None) -> list[Part]:
    return make_parts(input_type, batch, is_batch=True, version=version, limits=limits)


def inputs_of(parts: list[Part]) -> list[Any]:
    return [one for part in parts for one in json.loads(part.body)["input_batch"]]


@given(st.lists(st.text(max_size=20), max_size=30), st.integers(1, 8), st.integers(1, 60))
def test_parts_are_the_batch_in_order_and_within_limits(texts: list[str], num_inputs: int, size_bytes: int) -> None:
    parts = parts_of(InputType.STRINGS, texts, PartLimits(num_inputs, size_bytes))
    assert inputs_of(parts) == texts
    assert [part.first for part in parts] == [sum(one.num_inputs for one in parts[:n]) for n in range(len(parts))]
    for part in parts:
        found = json.loads(part.body)["input_batch"]
        sizes = [len(json.dumps(text, ensure_ascii=False).encode()) for text in found]
        assert len(found) == part.num_inputs <= num_inputs
        assert len(found) <= 1 or sum(sizes) <= size_bytes


def test_large_input_is_sent_alone_and_small_ones_together() -> None:
    parts = parts_of(InputType.STRINGS, ["a", "b", "x" * 100, "c", "d"], PartLimits(10, 50))
    assert [part.num_inputs for part in parts] == [2, 1, 2]


def test_empty_batch_is_one_request() -> None:
    assert parts_of(InputType.DOUBLES, [], PartLimits(1, 1)) == [Part(0, 0, b'{"input_batch":[]}')]


def test_each_part_names_the_version() -> None:
    parts = parts_of(InputType.DOUBLES, [[1.0], [2.0]], PartLimits(1, 100), version="2")
    assert [json.loads(part.body)["version"] for part in parts] == ["2", "2"]


def test_without_limits_there_is_one_request() -> None:
    assert [part.num_inputs for part in parts_of(InputType.DOUBLES, np.zeros((1000, 3)), None)] == [1000]


@pytest.mark.parametrize(
    ("input_type", "batch", "expected"),
    [
        (InputType.DOUBLES, np.array([[1.0, np.nan], [np.inf, 2.0]]), [[1.0, "NaN"], ["Infinity", 2.0]]),
        (InputType.DOUBLES, pd.DataFrame({"a": [1, 2], "b": [0.5, None]}), [[1, 0.5], [2, "NaN"]]),
        (InputType.JSON, pd.DataFrame({"a": [1, 2], "b": ["x", None]}), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
        (InputType.BYTES, [b"\x00\xff", np.array([1], np.uint8)], ["AP8=", "AQ=="]),
    ],
)
def test_arrays_and_frames_are_split_by_rows(input_type: InputType, batch: Any, expected: list[Any]) -> None:
    assert inputs_of(parts_of(input_type, batch, PartLimits(1, 10_000))) == expected


def test_wrong_input_is_refused_before_any_part_is_there() -> None:
    with pytest.raises(InvalidInputError, match="Input 300 of the batch: An input of type doubles must be"):
        parts_of(InputType.DOUBLES, [[1.0]] * 300 + ["x"], PartLimits(256, 10_000))


def test_one_input_is_never_split() -> None:
    (part,) = make_parts(InputType.STRINGS, "x" * 100, is_batch=False, version=None, limits=PartLimits(1, 1))
    assert json.loads(part.body) == {"input": "x" * 100}
