"""Numbers with names go by these; what has no names goes by position, and what does not fit is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pytest

from clipper_nb.errors import InvalidInputError, InvalidRequestError
from clipper_nb.protocol.input_batches import format_batch
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.number_columns import (
    check_columns,
    columns_of,
    columns_schema,
    describe_columns,
    has_names,
    in_order,
    names_in,
    row_in_order,
)

CELLS = {"age": [22.0, 38.0], "fare": [7.25, 71.0]}


def test_schema_tells_names_and_their_number() -> None:
    schema = columns_schema(InputType.DOUBLES, ["age", "fare"])
    assert columns_of(schema) == ["age", "fare"]
    assert (schema["type"], schema["minItems"], schema["maxItems"]) == ("array", 2, 2)
    assert columns_of({"type": "array"}) is columns_of(None) is None


@pytest.mark.parametrize("names", [None, "ab", [], ["a", "a"], ["a", 1]])
def test_names_that_say_nothing_are_refused(names: Any) -> None:
    with pytest.raises(InvalidRequestError, match="names"):
        check_columns({"type": "array", "x-columns": names})


@pytest.mark.parametrize("make", [pd.DataFrame, polars.DataFrame, pa.table])
def test_tables_have_the_names_of_their_columns(make: Any) -> None:
    assert names_in(make(CELLS)) == ["age", "fare"]


@pytest.mark.parametrize(
    "value", [np.ones((2, 2)), [[1.0]], pd.DataFrame(np.ones((2, 2))), pd.Series([1.0]), polars.Series([1.0]), "text"]
)
def test_what_is_numbered_has_no_names(value: Any) -> None:
    assert names_in(value) is None
    assert not has_names(value, is_batch=True)


@pytest.mark.parametrize(
    "rows",
    [
        list(pd.DataFrame(CELLS).itertuples(index=False)), list(pd.DataFrame(CELLS).itertuples()),
        pd.DataFrame(CELLS).to_records(), list(pd.DataFrame(CELLS).to_records(index=False)),
    ],
    ids=["tuples", "with index", "records", "list of records"],
)  # fmt: skip
def test_rows_with_names_of_any_kind_go_by_these(rows: Any) -> None:
    assert has_names(rows, is_batch=True)
    assert format_batch(InputType.DOUBLES, rows, ["fare", "age"]) == [[7.25, 22.0], [71.0, 38.0]]
    with pytest.raises(InvalidInputError, match="sex is missing in"):
        format_batch(InputType.DOUBLES, rows, ["age", "sex"])


def test_space_in_a_name_may_be_an_underscore_of_the_model() -> None:
    """LightGBM names the columns of scikit-learn's own data sets so."""
    rows = pd.DataFrame({"petal width (cm)": [0.2], "petal length (cm)": [1.4]})
    assert format_batch(InputType.DOUBLES, rows, ["petal_length_(cm)", "petal_width_(cm)"]) == [[1.4, 0.2]]
    assert in_order(["a b", "a_b"], ["a_b"]) == [1]
    assert in_order(["a b", "a_b"], ["a b", "a_b"]) == [0, 1]
    with pytest.raises(InvalidInputError, match=r"Two columns have the name 'a_b'"):
        in_order(["a b", "a b"], ["a_b"])
    with pytest.raises(InvalidInputError, match=r"a_b is missing in a-b"):
        in_order(["a-b"], ["a_b"])


def test_index_of_a_frame_is_no_number_of_a_row() -> None:
    rows = pd.DataFrame(CELLS).itertuples()
    with pytest.raises(InvalidInputError, match=r"row of df.itertuples\(\), whose first number is the index"):
        format_batch(InputType.DOUBLES, list(rows))


def test_row_of_a_frame_has_names_in_a_list_too() -> None:
    row = pd.DataFrame(CELLS).iloc[0]
    assert names_in(row) == ["age", "fare"]
    assert has_names([[1.0, 2.0], row], is_batch=True)
    assert not has_names([[1.0, 2.0], row], is_batch=False)


def test_wanted_names_are_found_and_others_left_out() -> None:
    assert in_order(["fare", "name", "age"], ["age", "fare"]) == [2, 0]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["age"], "The model takes age, fare, by name; fare is missing in age. "),
        (["x"], "age, fare are missing in x. "),
        (["age", "fare", "age"], "Two columns have the name 'age'"),
    ],
)
def test_missing_and_doubled_names_are_refused(names: list[str], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        in_order(names, ["age", "fare"])


def test_row_goes_by_its_names_and_a_list_by_position() -> None:
    row = pd.DataFrame(CELLS).iloc[1]
    assert row_in_order(row, ["fare", "age"]) == [71.0, 38.0]
    assert row_in_order(row, None) is row
    assert row_in_order([1.0, 2.0], ["fare", "age"]) == [1.0, 2.0]


def test_many_names_are_counted() -> None:
    assert describe_columns(["age"]) == "a list of 1 number: age"
    assert describe_columns([str(number) for number in range(40)]).endswith("28, 29, … (40 in all)")
