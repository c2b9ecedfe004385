"""The schema of a data frame's rows; ``test_frame_reader.py`` shows what it lets through."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from clipper_nb.closures.frame_schema import frame_schema, in_fitted_order
from clipper_nb.errors import InvalidRequestError


def test_schema_has_each_column_with_its_values() -> None:
    sample = pd.DataFrame({"age": [22.0], "sex": pd.Categorical(["male"], categories=["female", "male"]), "n": [1]})
    assert frame_schema(sample) == {
        "type": "object",
        "properties": {
            "age": {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}, {"type": "null"}]},
            "sex": {"enum": ["female", "male", None]},
            "n": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
        },
        "required": ["age", "sex", "n"],
    }


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (pd.DataFrame(), "need names"),
        (pd.DataFrame({1: [1]}), "need names that are text"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "need names that are text and differ"),
        (pd.DataFrame({"a": [1j]}), "'a' of sample_inputs has the dtype complex128"),
        (pd.DataFrame({"a": pd.period_range("2024", periods=1, freq="D")}), "has the dtype period"),
        (pd.DataFrame({"a": pd.array([1], dtype="int64[pyarrow]")}), "has the dtype int64"),
        (pd.DataFrame({"a": pd.arrays.SparseArray([1.0])}), "has the dtype Sparse"),
        (pd.DataFrame({"a": pd.cut([1.0], 1)}), "neither texts nor numbers"),
    ],
)
def test_column_without_json_is_refused(sample: Any, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        frame_schema(sample)


def test_objects_are_texts_if_the_sample_has_texts() -> None:
    texts, any_value, nothing = (
        pd.DataFrame({"a": pd.Series(values, dtype="object")}) for values in (["x", None], ["x", 1], [None, np.nan])
    )
    assert frame_schema(texts)["properties"]["a"] == {"anyOf": [{"type": "string"}, {"type": "null"}]}
    assert frame_schema(any_value)["properties"]["a"] == {}
    assert frame_schema(nothing)["properties"]["a"] == {}


@pytest.mark.parametrize(
    ("columns", "fitted", "expected"),
    [
        (["b", "a"], ["a", "b"], ["a", "b"]),
        (["b", "extra", "a"], ["a", "b"], ["a", "b", "extra"]),
        (["petal width", "petal length"], ["petal_length", "petal_width"], ["petal length", "petal width"]),
        (["b", "c"], ["a", "b"], ["b", "c"]),  # the model says what is missing
        (["b", "a"], None, ["b", "a"]),
        ([1, 0], ["0", "1"], [1, 0]),
    ],
)
def test_sample_has_the_order_of_the_fit(columns: Any, fitted: Any, expected: Any) -> None:
    sample = pd.DataFrame([range(len(columns))], columns=columns)
    assert list(in_fitted_order(sample, fitted).columns) == expected
    assert in_fitted_order([[1.0]], fitted) == [[1.0]]
