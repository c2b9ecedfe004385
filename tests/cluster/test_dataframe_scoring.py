"""The column that outputs become when a Spark DataFrame is scored."""

from __future__ import annotations

import math
from typing import Any

import pytest

from clipper_nb import ClipperConnection, InvalidRequestError, LocalContainerManager
from clipper_nb.cluster.dataframe_scoring import _column, score_dataframe
from tests.support.spark import QUIET

pytestmark = [pytest.mark.spark, *QUIET]


@pytest.mark.parametrize(
    ("outputs", "values", "data_type"),
    [
        ([1, 2], [1, 2], "bigint"),
        ([1, None], [1, None], "bigint"),
        ([1, 2.5], [1.0, 2.5], "double"),
        ([0.5, "Infinity"], [0.5, math.inf], "double"),
        ([True, None], [True, None], "boolean"),
        ([[1, 2.5], None, []], [[1.0, 2.5], None, []], "array<double>"),
        (["a", "b"], ["a", "b"], "string"),
        ([None], [None], "string"),
        (["a", 1], ["a", "1"], "string"),
        ([True, 1], ["true", "1"], "string"),
        ([{"p": 0.5}, "none"], ['{"p": 0.5}', "none"], "string"),
    ],
)
def test_column_has_the_narrowest_type_for_all_values(outputs: list[Any], values: list[Any], data_type: str) -> None:
    found, found_type = _column(outputs)
    assert found == values
    assert found_type.simpleString() == data_type


@pytest.mark.parametrize("df", [None, [[1.0]], {"x": [1.0]}])
def test_only_a_spark_dataframe_is_accepted(df: Any) -> None:
    conn = ClipperConnection(LocalContainerManager("nowhere"))
    with pytest.raises(InvalidRequestError, match=r"must be a Spark DataFrame, not .*predict_batch"):
        score_dataframe(conn, "model", df, "x", "y", None)
