"""Rows of JSON as data frames and tensors of MLflow."""

from __future__ import annotations

import pickle
from typing import Any

import pandas as pd
import pytest

from clipper_nb.errors import InvalidInputError, PredictionError
from clipper_nb.model_functions.frameworks.mlflow_values import ColumnsFunction, TensorsFunction

COLUMNS: list[dict[str, Any]] = [
    {"type": "long", "name": "id", "required": True},
    {"type": "double", "name": "fare", "required": False},
    {"type": "integer", "name": "rank", "required": False},
]


class Recording:
    """A function that keeps the frames which it gets."""

    def __init__(self) -> None:
        self.frames: list[Any] = []

    def __call__(self, _model: Any, frame: Any) -> list[int]:
        self.frames.append(frame)
        return [0] * len(frame)


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
    recording = Recording()
    ColumnsFunction(recording, columns)(None, rows)
    (frame,) = recording.frames
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
    recording = Recording()
    column = {"type": "array", "items": {"type": kind}, "name": "x"}
    ColumnsFunction(recording, [column])(None, [{"x": [1, 2]}, {"x": []}])
    assert [str(value.dtype) for value in recording.frames[0]["x"]] == ["float32" if kind == "float" else "int32"] * 2
    column = {"type": "map", "values": {"type": kind}, "name": "x"}
    ColumnsFunction(recording, [column])(None, [{"x": {"k": 2}}])
    assert str(recording.frames[1]["x"][0]["k"].dtype) == ("float32" if kind == "float" else "int32")


def test_double_never_has_a_rounded_whole_number() -> None:
    for column, value in [
        ({"type": "double", "name": "x"}, 2**53 + 1),
        ({"type": "array", "items": {"type": "double"}, "name": "x"}, [1, 2**53 + 1]),
    ]:
        with pytest.raises(InvalidInputError, match="a double, and 9007199254740993 has more digits"):
            ColumnsFunction(Recording(), [column])(None, [{"x": value}])
    recording = Recording()
    ColumnsFunction(recording, [{"type": "long", "name": "x"}])(None, [{"x": 2**53 + 1}])
    assert recording.frames[0]["x"].tolist() == [2**53 + 1]


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


def test_answer_is_the_same_beside_rows_with_other_columns() -> None:
    """One frame's result was an output as it is, and those of several frames were joined by other rules."""
    returned: dict[str, Any] = {
        "a dict": lambda _model, frame: {"id": frame["id"].to_numpy()},
        "gaps": lambda _model, frame: pd.DataFrame({"text": pd.Series([float("nan")] * len(frame), dtype=object)}),
        "a generator": lambda _model, frame: (number for number in frame["id"].tolist()),
    }
    for what, func in returned.items():
        call = ColumnsFunction(func, COLUMNS)
        alone, beside = call(None, [{"id": 1}]), call(None, [{"id": 1}, {"id": 2, "rank": 3}])
        assert alone == beside[:1], what


def test_coroutine_is_awaited_whatever_columns_there_are() -> None:
    async def func(_model: Any, frame: Any) -> Any:
        return frame["id"].tolist()

    assert ColumnsFunction(func, COLUMNS)(None, [{"id": 1}, {"id": 2, "rank": 3}]) == [1, 2]


def test_wrong_number_of_answers_is_refused_for_each_frame() -> None:
    with pytest.raises(PredictionError, match="returned 1 outputs for 2 inputs"):
        ColumnsFunction(lambda _model, frame: [0], COLUMNS)(None, [{"id": 1}, {"id": 2}, {"id": 3, "rank": 3}])


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
