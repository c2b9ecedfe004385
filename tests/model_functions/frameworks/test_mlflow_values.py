"""Rows of JSON as data frames and tensors of MLflow."""

from __future__ import annotations

import pickle
from typing import Any

import pandas as pd
import pytest

from clipper_nb.errors import InvalidInputError
from clipper_nb.model_functions.frameworks.mlflow_values import ColumnsFunction, TensorsFunction

COLUMNS: list[dict[str, Any]] = [
    {"type": "long", "name": "id", "required": True},
    {"type": "double", "name": "fare", "required": False},
    {"type": "integer", "name": "rank", "required": False},
]


def test_values_get_the_types_of_the_signature() -> None:
    columns = [
        {"type": "binary", "name": "raw"}, {"type": "datetime", "name": "at"}, {"type": "boolean", "name": "is"},
        {"type": "array", "items": {"type": "double"}, "name": "marks"}, {"type": "string", "name": "text"},
        {"type": "object", "properties": {"a": {"type": "map", "values": {"type": "double"}}}, "name": "deep"},
    ]  # fmt: skip
    rows = [
        {
            "raw": "AAE=",
            "at": "2024-02-29",
            "is": True,
            "marks": [1, "NaN"],
            "text": None,
            "deep": {"a": {"k": 2}},
            "x": 1,
        },
        {"raw": "", "at": None, "is": False, "marks": [], "text": "t", "deep": {"a": {}}},
    ]
    frames: list[Any] = []
    ColumnsFunction(lambda _model, frame: frames.append(frame), columns)(None, rows)
    (frame,) = frames
    assert frame["raw"].tolist() == [b"\0\1", b""]
    assert frame["at"].tolist() == [pd.Timestamp("2024-02-29"), pd.NaT]
    assert (str(frame["at"].dtype), str(frame["is"].dtype)) == ("datetime64[ns]", "bool")
    assert str(frame["marks"][0]) == "[1.0, nan]"
    assert frame["text"].tolist() == [None, "t"]
    assert frame["deep"].tolist() == [{"a": {"k": 2.0}}, {"a": {}}]
    assert list(frame.columns) == [column["name"] for column in columns]


@pytest.mark.parametrize("kind", ["float", "integer"])
def test_numbers_of_32_bits_in_arrays_keep_their_size(kind: str) -> None:
    """MLflow refuses a list of them."""
    frames: list[Any] = []
    column = {"type": "array", "items": {"type": kind}, "name": "x"}
    ColumnsFunction(lambda _model, frame: frames.append(frame), [column])(None, [{"x": [1, 2]}, {"x": []}])
    assert [str(value.dtype) for value in frames[0]["x"]] == ["float32" if kind == "float" else "int32"] * 2
    column = {"type": "map", "values": {"type": kind}, "name": "x"}
    ColumnsFunction(lambda _model, frame: frames.append(frame), [column])(None, [{"x": {"k": 2}}])
    assert str(frames[1]["x"][0]["k"].dtype) == ("float32" if kind == "float" else "int32")


@pytest.mark.parametrize("as_frame", [True, False])
def test_rows_with_other_columns_are_in_other_frames(as_frame: bool) -> None:
    calls: list[Any] = []

    def func(_model: Any, frame: Any) -> Any:
        calls.append(list(frame.columns))
        return frame[["id"]] if as_frame else frame["id"].tolist()

    rows = [{"id": 1}, {"id": 2, "fare": None}, {"id": 3, "rank": None}, {"id": 4, "rank": 5, "fare": 1}]
    answers = ColumnsFunction(func, COLUMNS)(None, rows)
    assert answers == ([{"id": n} for n in range(1, 5)] if as_frame else [1, 2, 3, 4])
    assert calls == [["id"], ["id", "fare"], ["id", "fare", "rank"]]


@pytest.mark.parametrize("row", [{"fare": 1.0}, [1], "id"])
def test_row_without_a_required_column_is_refused(row: Any) -> None:
    with pytest.raises(InvalidInputError, match="Input 1 must be an object"):
        ColumnsFunction(lambda _model, frame: frame, COLUMNS)(None, [{"id": 1}, row])


def test_tensors_become_arrays_of_their_dtype() -> None:
    spec = {"dtype": "float32", "shape": (-1, 2)}
    alone = TensorsFunction(lambda _model, array: array, [{"type": "tensor", "tensor-spec": spec}])
    array = alone(None, [[1, 2], [3, 4]])
    assert (array.shape, str(array.dtype)) == ((2, 2), "float32")
    named = TensorsFunction(lambda _model, arrays: arrays, [{"type": "tensor", "name": "x", "tensor-spec": spec}])
    assert [row["x"].tolist() for row in named(None, [{"x": [1, 2]}, {"x": [3, 4]}])] == [[1.0, 2.0], [3.0, 4.0]]


def first(_model: Any, frame: Any) -> Any:
    return frame.iloc[:, 0].tolist()


def test_functions_travel_whole() -> None:
    copy = pickle.loads(pickle.dumps(ColumnsFunction(first, COLUMNS)))
    assert copy(None, [{"id": 7}]) == [7]
    assert isinstance(pickle.loads(pickle.dumps(TensorsFunction(first, []))), TensorsFunction)
