"""From the signature of a model of MLflow to the inputs of its version: their schema, and what reads them. (pure)"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clipper_nb.closures.input_annotations import TakenInputs
from clipper_nb.errors import InvalidRequestError
from clipper_nb.model_functions.frame_reader import LARGEST_FLOATS, whole_number_range
from clipper_nb.model_functions.frameworks.mlflow import NumberReader, TextReader
from clipper_nb.model_functions.frameworks.mlflow_values import (
    DTYPES,
    HAVE_MISSING,
    ColumnsFunction,
    TensorsFunction,
)
from clipper_nb.model_functions.json_function import JsonFunction
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.json_schema import LOCAL_TIME
from clipper_nb.protocol.number_columns import columns_schema

_NULL = {"type": "null"}
_NOT_FINITE = {"enum": ["NaN", "Infinity", "-Infinity"]}
_SCALARS: Mapping[str, Mapping[str, Any]] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "long": {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1},
    "float": {"anyOf": [{"type": "number", "minimum": -LARGEST_FLOATS[4], "maximum": LARGEST_FLOATS[4]}, _NOT_FINITE]},
    "double": {"anyOf": [{"type": "number"}, _NOT_FINITE]},
    "string": {"type": "string"},
    "binary": {"type": "string", "contentEncoding": "base64"},
    "datetime": {"anyOf": [{"type": "string", "format": each} for each in (LOCAL_TIME, "date")]},
    "any": {},
}
_TAKEN_BY = {
    InputType.INTEGERS: ("integer", "long", "float", "double"),
    InputType.FLOATS: ("float", "double"),
    InputType.DOUBLES: ("double", "float"),
}
"""By type of inputs of numbers, the columns that its numbers may be in."""
_TENSORS = {
    InputType.INTEGERS: ("int32", "int64", "float32", "float64"),
    InputType.FLOATS: ("float16", "float32", "float64"),
    InputType.DOUBLES: ("float16", "float32", "float64"),
}
"""By type of inputs of numbers, the tensors that its numbers may be in: a conversion to others cuts or wraps them."""
Spec = Mapping[str, Any]


def taken_by_signature(
    func: Callable[[Any, Any], Any], input_type: InputType, specs: Sequence[Spec] | None
) -> TakenInputs:
    """Return how *func* takes inputs of a type, with the schema of one.

    Parameters
    ----------
    func : callable
        ``func(model, inputs)``, which gets what ``model.predict`` takes.
    input_type : InputType
    specs : list of dict, optional
        The signature's inputs, as their ``to_dict()`` has them.

    Raises
    ------
    InvalidRequestError
        Inputs of that type cannot be what the signature says; the message names the type that can.
    """
    if not specs:
        return TakenInputs(JsonFunction(func, NumberReader()) if input_type.is_numeric else func)
    is_tensor = specs[0]["type"] == "tensor"
    if input_type is InputType.JSON:
        return _taken_as_json(func, specs, is_tensor=is_tensor)
    if is_tensor and len(specs) == 1 and specs[0].get("name") is None:
        tensor = specs[0]["tensor-spec"]
        if tensor["dtype"] in _TENSORS.get(input_type, ()):
            return TakenInputs(JsonFunction(func, NumberReader((), tensor["dtype"], tuple(tensor["shape"][1:]))))
    if input_type is InputType.STRINGS and len(specs) == 1 and specs[0]["type"] == "string":
        return TakenInputs(JsonFunction(func, TextReader(specs[0].get("name"))))
    fits = input_type in _TAKEN_BY and all(
        spec["type"] in _TAKEN_BY[input_type] and spec.get("required", True) and spec.get("name") for spec in specs
    )
    if not fits:
        raise InvalidRequestError(
            f"The model's signature takes {_told(specs)}, and inputs of type '{input_type}' are not that. Deploy it "
            f"with input_type='json': an input is then {_described(specs)}."
        )
    columns = [(spec["name"], DTYPES[spec["type"]]) for spec in specs]
    return TakenInputs(
        JsonFunction(func, NumberReader(columns)), columns_schema(input_type, [name for name, _ in columns])
    )


def _taken_as_json(func: Callable[[Any, Any], Any], specs: Sequence[Spec], *, is_tensor: bool) -> TakenInputs:
    named = [spec for spec in specs if spec.get("name")]
    if is_tensor and not named:
        return TakenInputs(TensorsFunction(func, specs), _tensor_schema(specs[0]["tensor-spec"]))
    if len(named) < len(specs):
        raise InvalidRequestError(
            f"The model's signature takes {_told(specs)}, without names, which objects of JSON need. Save it with "
            "names for its columns, or deploy it with input_type='strings' if it takes texts."
        )
    parts = {spec["name"]: _tensor_schema(spec["tensor-spec"]) if is_tensor else column_schema(spec) for spec in specs}
    required = [spec["name"] for spec in specs if spec.get("required", True)]
    schema: dict[str, Any] = {"type": "object", "properties": parts, "required": required}
    if len(required) < len(specs):  # a column with a misspelled name would be taken for one that is left out
        schema["additionalProperties"] = False
    return TakenInputs((TensorsFunction if is_tensor else ColumnsFunction)(func, specs), schema)


def column_schema(spec: Spec) -> dict[str, Any]:
    """Return the JSON Schema of a column's values, or of parts of them."""
    kind = spec["type"]
    if kind == "array":
        return {"type": "array", "items": column_schema(spec["items"])}
    if kind == "map":
        return {"type": "object", "additionalProperties": column_schema(spec["values"])}
    if kind == "object":
        parts = spec["properties"]
        return {
            "type": "object",
            "properties": {name: column_schema(part) for name, part in parts.items()},
            "required": [name for name, part in parts.items() if part.get("required", True)],
        }
    if kind not in _SCALARS:
        raise InvalidRequestError(f"The model's signature has the type '{kind}', which values of JSON do not become.")
    schema = dict(_SCALARS[kind])
    if kind == "any" or (kind not in HAVE_MISSING and spec.get("required", True)):
        return schema
    return {"anyOf": [*schema.get("anyOf", [schema]), _NULL]}


def _tensor_schema(tensor: Spec) -> dict[str, Any]:
    """Return the schema of one input of a tensor, whose first dimension is that of the batch."""
    schema = _element_schema(str(tensor["dtype"]))
    for size in reversed(tensor["shape"][1:]):
        sizes = {} if size == -1 else {"minItems": size, "maxItems": size}
        schema = {"type": "array", "items": schema, **sizes}
    return schema


def _element_schema(name: str) -> dict[str, Any]:
    """Return the schema of a number of a tensor, which must not change in its dtype."""
    import numpy as np

    if name == "bool":
        return {"type": "boolean"}
    if not name.startswith(("int", "uint", "float")):
        return {"type": "string"}
    dtype = np.dtype(name)
    if dtype.kind in "iu":
        smallest, largest = whole_number_range(dtype)
        return {"type": "integer", "minimum": smallest, "maximum": largest}
    bound = LARGEST_FLOATS.get(dtype.itemsize)
    return {"type": "number"} if bound is None else {"type": "number", "minimum": -bound, "maximum": bound}


def _described(specs: Sequence[Spec]) -> str:
    is_list = specs[0]["type"] == "tensor" and not specs[0].get("name")
    return "a nested list of the tensor's shape" if is_list else "an object, with the columns by name"


def _told(specs: Sequence[Spec]) -> str:
    parts = []
    for spec in specs:
        tensor = spec.get("tensor-spec")
        kind = spec["type"] if tensor is None else f"{tensor['dtype']}{list(tensor['shape'])}"
        parts.append(f"{spec['name']}: {kind}" if spec.get("name") else kind)
    return ", ".join(parts)
