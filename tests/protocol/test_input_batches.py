"""Batches as a notebook holds them become lists of inputs, or are refused with what to pass."""

from __future__ import annotations

import array
import collections
import itertools
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from clipper_nb.errors import InvalidInputError
from clipper_nb.protocol.input_batches import check_batch, format_batch
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.predict_call import MAX_BATCH_INPUTS

FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": [0.5, np.nan]})
VECTORS = [[1.0, 0.5], [2.0, "NaN"]]


class Items:
    """A sequence of the oldest kind."""

    def __getitem__(self, index: int) -> list[float]:
        return [[1.0, 0.5]][index]


def _format(input_type: InputType, batch: Any) -> list[Any]:
    return format_batch(input_type, check_batch(batch, "inputs"))


@pytest.mark.parametrize(
    ("batch", "json_values"),
    [
        (FRAME, VECTORS),
        (FRAME.to_numpy(), VECTORS),
        (FRAME.to_numpy().tolist(), VECTORS),
        (tuple(FRAME.to_numpy()), VECTORS),
        ([row for _, row in FRAME.iterrows()], VECTORS),
        (FRAME.itertuples(index=False), VECTORS),
        ((row for row in FRAME.to_numpy()), VECTORS),
        (zip([1.0], [0.5], strict=True), [[1.0, 0.5]]),
        ({1: [1.0, 0.5]}.values(), [[1.0, 0.5]]),
        (collections.deque([(1.0, 0.5)]), [[1.0, 0.5]]),
        ([array.array("d", [1.0, 0.5])], [[1.0, 0.5]]),
        (Items(), [[1.0, 0.5]]),
        (pd.Series([[1.0], np.array([0.5])]), [[1.0], [0.5]]),
        (pa.array([[1.0, None], []]), [[1.0, None], []]),
        (pa.chunked_array([[[1.0]], [[0.5]]]), [[1.0], [0.5]]),
        (np.ma.array([[1.0, 2.0]], mask=[[False, True]]), [[1.0, None]]),
        ([], []),
        (FRAME.iloc[:0], []),
        (np.zeros((0, 3)), []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_batch_of_numbers_becomes_a_list_of_vectors(batch: Any, json_values: list[Any]) -> None:
    assert _format(InputType.DOUBLES, batch) == json_values


@pytest.mark.parametrize(
    "batch",
    [
        ["a", "b"], np.array(["a", "b"]), pd.Series(["a", "b"]), pd.Index(["a", "b"]), pa.array(["a", "b"]),
        pa.chunked_array([["a"], ["b"]]), pd.Series(["a", "b"], dtype="category"), iter("ab"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_items_of_a_series_are_the_texts(batch: Any) -> None:
    texts = _format(InputType.STRINGS, batch)
    assert texts == ["a", "b"]
    assert {*map(type, texts)} == {str}


def test_series_of_polars_are_their_items() -> None:
    polars = pytest.importorskip("polars")
    assert _format(InputType.STRINGS, polars.Series(["a"])) == ["a"]
    assert _format(InputType.DOUBLES, polars.Series([[1.0, None]])) == [[1.0, None]]
    assert _format(InputType.DOUBLES, [polars.Series([1.0, None])]) == [[1.0, None]]
    with pytest.raises(InvalidInputError, match=r"not LazyFrame\. Pass what its collect\(\) returns"):
        check_batch(polars.LazyFrame({"a": [1]}), "inputs")


def test_rows_of_a_data_frame_depend_on_the_input_type() -> None:
    assert _format(InputType.STRINGS, FRAME) == ['{"a":1.0,"b":0.5}', '{"a":2.0,"b":null}']
    with pytest.raises(InvalidInputError, match="Pass the column"):
        _format(InputType.BYTES, FRAME)
    with pytest.raises(InvalidInputError, match="no columns"):
        _format(InputType.DOUBLES, pd.DataFrame(index=[1, 2]))


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ("text", r"not str\. For one input use predict\(\)"),
        (b"bytes", r"not bytes\. For one input use predict\(\)"),
        ({"a": [1.0]}, r"not dict\. For one JSON row pass \[row\], or \[json\.dumps\(row\)\]"),
        ({1.0}, r"not set\. Sets have no order"),
        (5, "not int"),
        (None, "not NoneType"),
        (np.array(5.0), "not ndarray"),
    ],
)
def test_what_is_no_batch_is_refused_with_what_to_pass(batch: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=f"inputs must be a list of inputs.*{words}"):
        check_batch(batch, "inputs")


def test_frame_that_is_not_computed_yet_is_refused() -> None:
    pl = pytest.importorskip("polars")
    with pytest.raises(InvalidInputError, match=r"Pass what its collect\(\) returns"):
        check_batch(pl.LazyFrame({"a": [1.0]}), "inputs")


@pytest.mark.parametrize(
    ("input_type", "batch", "words"),
    [
        (InputType.DOUBLES, [[1.0], 2.0], r"Input 1 of the batch: .* not float\. Send one number as a list"),
        (InputType.DOUBLES, pd.Series([1.0, 2.0]), "Input 0 of the batch: .* not float"),
        (InputType.INTEGERS, [[1], [None]], "Input 1 of the batch: Number 0 .* is missing"),
        (InputType.STRINGS, pd.Series(["a", None]), "Input 1 of the batch: .* must be str, not"),
        (InputType.STRINGS, [{"a": 1}], r"Input 0 of the batch: .*json\.dumps\(row\)"),
        (InputType.DOUBLES, np.zeros((2, 2, 2)), "Input 0 of the batch: .*more dimensions"),
    ],
)
def test_input_that_does_not_fit_is_named(input_type: InputType, batch: Any, words: str) -> None:
    with pytest.raises(InvalidInputError, match=words):
        _format(input_type, batch)


def test_endless_iterator_is_read_as_far_as_a_request_allows() -> None:
    assert len(check_batch(itertools.repeat([1.0]), "inputs")) == MAX_BATCH_INPUTS + 1
