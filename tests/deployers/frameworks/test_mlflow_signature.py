"""From a signature of MLflow to the schema of an input."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest

from clipper_nb.deployers.frameworks.mlflow_signature import taken_by_signature
from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.number_columns import columns_of

NUMBERS = [{"type": "double", "name": "age"}, {"type": "float", "name": "fare", "required": True}]
MIXED = [{"type": "string", "name": "name"}, {"type": "long", "name": "rank", "required": False}]


def predict(model: Any, inputs: Any) -> Any:
    return model(inputs)


def test_numbers_have_the_names_of_the_columns() -> None:
    taken = taken_by_signature(predict, InputType.DOUBLES, NUMBERS)
    assert columns_of(taken.schema) == ["age", "fare"]
    frame = taken.func(lambda given: given, [[1.0, 2.0], [3.0, 4.0]])
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == {"age": "float64", "fare": "float32"}
    with pytest.raises(ValueError, match=r"has 1 numbers; the model takes 2: age, fare"):
        taken.func(lambda given: given, [[1.0]])


@pytest.mark.parametrize(
    ("input_type", "specs"),
    [
        (InputType.DOUBLES, MIXED),
        (InputType.STRINGS, NUMBERS),
        (InputType.BYTES, NUMBERS),
        (InputType.DOUBLES, [{"type": "long", "name": "rank"}]),  # 0.5 is no rank
        (InputType.DOUBLES, [{"type": "double", "name": "age", "required": False}]),
        *(
            (input_type, [{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": (-1, 2)}}])  # 1.7 becomes 1
            for input_type, dtype in [
                (InputType.DOUBLES, "int64"),
                (InputType.FLOATS, "uint8"),
                (InputType.INTEGERS, "uint8"),
                (InputType.INTEGERS, "bool"),
                (InputType.BYTES, "float32"),
            ]
        ),
        (InputType.DOUBLES, [{"type": "tensor", "name": "x", "tensor-spec": {"dtype": "float64", "shape": (-1, 2)}}]),
    ],
)
def test_inputs_that_are_not_the_columns_are_refused(input_type: InputType, specs: list[dict[str, Any]]) -> None:
    named = specs[0]["name"] if "name" in specs[0] else specs[0]["tensor-spec"]["dtype"]
    with pytest.raises(InvalidRequestError, match=f"{named}.*input_type='json'"):
        taken_by_signature(predict, input_type, specs)


COLUMNS: dict[str, tuple[dict[str, Any], list[Any], list[Any]]] = {
    "boolean": ({"type": "boolean"}, [True], [1, None, "true"]),
    "integer": ({"type": "integer"}, [1, -(2**31), 2.0], [2**31, 1.5, None, True, "1"]),
    "long": ({"type": "long"}, [2**63 - 1], [2**63]),
    "float": ({"type": "float"}, [1, -3.4e38, None, "Infinity"], [1e39, -1e39, True]),
    "double": ({"type": "double"}, [1, 0.5, None, "NaN", "-Infinity"], ["1", True, "nan"]),
    "string": ({"type": "string"}, ["", None], [1]),
    "binary": ({"type": "binary"}, ["AAEC"], [1, None]),
    "datetime": (
        {"type": "datetime"},
        ["2024-02-29T10:00:00", "2024-02-29", None],
        ["2023-02-29", "2024-02-29T10:00:00Z", 1],
    ),
    "optional long": ({"type": "long", "required": False}, [1, None], [1.5]),
    "array": ({"type": "array", "items": {"type": "long"}}, [[], [1, 2]], [[1.5], 1]),
    "map": ({"type": "map", "values": {"type": "double"}}, [{}, {"a": 1}], [{"a": "x"}, []]),
    "object": (
        {"type": "object", "properties": {"a": {"type": "long"}, "b": {"type": "string", "required": False}}},
        [{"a": 1}, {"a": 1, "b": "x"}],
        [{}, {"a": "x"}],
    ),
    "any": ({"type": "any"}, [1, None, "x", [1]], []),
}


@pytest.mark.parametrize("case", COLUMNS)
def test_schema_accepts_the_values_of_each_type(case: str) -> None:
    spec, good, bad = COLUMNS[case]
    taken = taken_by_signature(predict, InputType.JSON, [{**spec, "name": "x"}])
    check = jsonschema_rs.validator_for(taken.schema, validate_formats=True)
    assert [value for value in good if not check.is_valid({"x": value})] == []
    # A local time is a format of OpenAPI, which the query frontend checks by itself.
    assert [value for value in bad if check.is_valid({"x": value}) and case != "datetime"] == []


def test_name_beside_optional_columns_is_refused() -> None:
    schema = taken_by_signature(predict, InputType.JSON, MIXED).schema
    check = jsonschema_rs.validator_for(schema)
    assert check.is_valid({"name": "a"})
    assert not check.is_valid({"name": "a", "rnak": 1})
    assert not check.is_valid({"rank": 1})


def test_tensor_is_a_nested_list_of_its_shape() -> None:
    specs = [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": (-1, 2, -1)}}]
    check = jsonschema_rs.validator_for(taken_by_signature(predict, InputType.JSON, specs).schema)
    assert check.is_valid([[1, 2, 3], [0.5]])
    assert not check.is_valid([[1]])
    rows = taken_by_signature(predict, InputType.DOUBLES, specs[:1]).func(lambda given: given, [[1.0, 2.0]])
    assert (rows.shape, str(rows.dtype)) == ((1, 2, 1), "float32")


def test_number_that_a_tensor_would_change_is_refused() -> None:
    for dtype, good, bad in [("uint8", [0, 255], [300, -1, 1.5]), ("float32", [0.5], [1e39]), ("float64", [1e39], [])]:
        specs = [{"type": "tensor", "tensor-spec": {"dtype": dtype, "shape": (-1, 1)}}]
        check = jsonschema_rs.validator_for(taken_by_signature(predict, InputType.JSON, specs).schema)
        assert [value for value in good if not check.is_valid([value])] == []
        assert [value for value in bad if check.is_valid([value])] == []


def test_columns_without_names_need_them_for_json() -> None:
    with pytest.raises(InvalidRequestError, match="without names"):
        taken_by_signature(predict, InputType.JSON, [{"type": "string", "required": True}])
    taken = taken_by_signature(predict, InputType.STRINGS, [{"type": "string", "required": True}])
    assert taken.func(lambda given: given, ["a", "b"])[0].tolist() == ["a", "b"]
