"""The column that outputs become when a Spark DataFrame is scored."""

from __future__ import annotations

import math
from typing import Any

import pytest

from clipper_nb import ClipperConnection, InvalidRequestError, LocalContainerManager
from clipper_nb.cluster.dataframe_scoring import _choose_reader, _column, _find_model, score_dataframe
from clipper_nb.protocol.input_types import InputType
from tests.support.management_frontend import ManagementFrontend, application, connection_to
from tests.support.spark import QUIET

pytestmark = [pytest.mark.spark, *QUIET]


@pytest.mark.parametrize(
    ("outputs", "values", "data_type"),
    [
        ([1, 2], [1, 2], "bigint"),
        ([1, None], [1, None], "bigint"),
        ([1, 2.5], [1.0, 2.5], "double"),
        ([0.5, math.inf], [0.5, math.inf], "double"),
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


def _field(type_name: str) -> Any:
    from pyspark.sql.types import ArrayType, BinaryType, DecimalType, DoubleType, IntegerType, StringType, StructField

    data_types = {"double": DoubleType(), "int": IntegerType(), "decimal": DecimalType(5, 2),
                  "array": ArrayType(DoubleType()), "string": StringType(), "binary": BinaryType()}  # fmt: skip
    return StructField("x", data_types[type_name])


@pytest.mark.parametrize("type_name", ["double", "int", "decimal"])
def test_number_that_is_null_is_a_missing_one(type_name: str) -> None:
    field = _field(type_name)
    read = _choose_reader(field, InputType.DOUBLES)
    assert [read(cell, 0) for cell in (1, None)] == [[1], [None]]
    with pytest.raises(InvalidRequestError, match="Row 3 has no input: it is null"):
        _choose_reader(field, InputType.STRINGS)(None, 3)


@pytest.mark.parametrize("type_name", ["array", "string", "binary"])
def test_other_cell_that_is_null_is_no_input(type_name: str) -> None:
    read = _choose_reader(_field(type_name), InputType.DOUBLES)
    assert read([1.0, None], 0) == [1.0, None]
    with pytest.raises(InvalidRequestError, match="Row 3 has no input: it is null"):
        read(None, 3)


@pytest.mark.parametrize("type_name", ["double", "string", "array"])
def test_any_cell_is_an_input_of_type_json(type_name: str) -> None:
    from pyspark.ml.linalg import Vectors
    from pyspark.sql import Row

    read = _choose_reader(_field(type_name), InputType.JSON)
    assert [read(cell, 0) for cell in (1.5, None, "a", [1.0, None])] == [1.5, None, "a", [1.0, None]]
    assert read(Row(age=22, home=Row(town="Bern")), 0) == {"age": 22, "home": {"town": "Bern"}}
    assert read(Vectors.dense([0.5, 1.0]), 0).tolist() == [0.5, 1.0]


@pytest.mark.parametrize("df", [None, [[1.0]], {"x": [1.0]}])
def test_only_a_spark_dataframe_is_accepted(df: Any) -> None:
    conn = ClipperConnection(LocalContainerManager("nowhere"))
    with pytest.raises(InvalidRequestError, match=r"must be a Spark DataFrame, not .*predict_batch"):
        score_dataframe(conn, "model", df, "x", "y", None)


def test_divided_traffic_needs_a_version() -> None:
    targets = [{"target": "net:1", "weight": 9.0, "share": 0.9}, {"target": "net:2", "weight": 1.0, "share": 0.1}]
    divided = application("app", "net", traffic=targets)
    conn = connection_to(ManagementFrontend(applications=[divided]), object())  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError, match=r"traffic set: net:1 90 %, net:2 10 %\. One version scores"):
        _find_model(conn, "app", None)
    assert _find_model(conn, "app", "1") == "net"
