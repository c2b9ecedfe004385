"""Rows into the one input of a model in ONNX."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from clipper_nb.model_functions.frameworks.onnx import predict_rows


class Session:
    """Returns what it gets, and how many rows that has."""

    def __init__(self, kind: str, shape: list[Any], outputs: tuple[str, ...] = ("y",)) -> None:
        self.input, self.outputs = SimpleNamespace(name="x", type=kind, shape=shape), outputs
        self.arrays: list[Any] = []

    def get_inputs(self) -> list[Any]:
        return [self.input]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name=name) for name in self.outputs]

    def run(self, _names: None, feeds: dict[str, Any]) -> list[Any]:
        self.arrays.append(feeds["x"])
        return [feeds["x"], np.full(len(feeds["x"]), len(feeds["x"]))][: len(self.outputs)]


ROWS = [np.arange(4.0), np.arange(4.0, 8.0)]


def test_rows_take_type_and_shape_of_the_input() -> None:
    session = Session("tensor(float)", ["batch", 2, 2])
    assert [row.tolist() for row in predict_rows(session, ROWS)] == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
    assert session.arrays[0].dtype == np.float32
    with pytest.raises(ValueError, match=r"an input has 3 values; the model takes 4, of shape \[2, 2\]"):
        predict_rows(session, [np.arange(3.0)])


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        ("tensor(float16)", np.array([0.1, 1e5], np.float32)),
        ("tensor(float)", np.array([0.1, -1e39])),
        ("tensor(float)", np.array([1, 2**24 + 1], np.int32)),
        ("tensor(float)", np.array([1, 2**31 - 1], np.int32)),
        ("tensor(int8)", np.array([1, 300], np.int32)),
    ],
)
def test_number_that_the_input_does_not_have_is_refused(kind: str, row: Any) -> None:
    with pytest.raises(ValueError, match=f"has no value for the number {re.escape(str(row[1]))} of an input"):
        predict_rows(Session(kind, [None, 2]), [row])


def test_fractions_are_rounded_and_the_rest_is_kept() -> None:
    row = np.array([0.1, np.inf, -np.inf, np.nan, 65504.0, -0.0])
    (answer,) = predict_rows(Session("tensor(float16)", [None, 6]), [row])
    np.testing.assert_array_equal(answer, row.astype(np.float16))
    (answer,) = predict_rows(Session("tensor(float)", [None, 2]), [np.array([2**24, -(2**30)], np.int32)])
    assert answer.tolist() == [2.0**24, -(2.0**30)]


def test_several_outputs_are_objects_of_a_row() -> None:
    answers = predict_rows(Session("tensor(double)", [None, 4], ("label", "size")), ROWS)
    assert [answer["size"] for answer in answers] == [2, 2]
    assert [answer["label"].tolist() for answer in answers] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_batch_of_one_is_called_for_each_row() -> None:
    session = Session("tensor(float)", [1, 4], ("label", "size"))
    assert [answer["size"] for answer in predict_rows(session, ROWS)] == [1, 1]
    assert [len(array) for array in session.arrays] == [1, 1]


def test_texts_are_a_column() -> None:
    session = Session("tensor(string)", [None, 1])
    predict_rows(session, ["a", "b"])
    assert session.arrays[0].tolist() == [["a"], ["b"]]
