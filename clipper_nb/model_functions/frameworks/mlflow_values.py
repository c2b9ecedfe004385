"""Values of JSON as a model of MLflow takes them, by its signature."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from clipper_nb.errors import InvalidInputError
from clipper_nb.model_functions.coroutines import AwaitingFunction
from clipper_nb.model_functions.json_function import JsonFunction
from clipper_nb.protocol.output_batch import as_batch, wrong_number
from clipper_nb.protocol.schema_words import shortened
from clipper_nb.protocol.whole_numbers import keeps_digits

DTYPES = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "datetime": "datetime64[ns]",
}
"""By MLflow's name of a column's type, the dtype that it enforces; other types are objects."""
HAVE_MISSING = ("float", "double", "string", "datetime")
"""Types whose columns may have missing values."""
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class ColumnsFunction(JsonFunction):
    """Calls ``func(model, frame)`` with data frames of the columns of a signature.

    A column that is not required is in the frame if the row has it. Rows that have different columns are in different
    frames, so that no answer depends on the other rows of a batch.

    Parameters
    ----------
    func : callable
    columns : list of dict
        As the signature's ``to_dict()`` has them.
    """

    def __init__(self, func: Callable[[Any, Any], Any], columns: Sequence[Mapping[str, Any]]) -> None:
        self.func, self._columns, self._call = func, columns, AwaitingFunction(func)
        self.__name__ = getattr(func, "__name__", type(func).__name__)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as the arguments."""
        return ColumnsFunction, (self.func, self._columns)

    def __call__(self, *arguments: Any) -> Any:
        """Return one output per input, in order; the arguments are the model and the list of inputs."""
        model, inputs = arguments
        groups: dict[tuple[str, ...], list[int]] = {}
        for position, row in enumerate(inputs):
            groups.setdefault(self._present(row, position), []).append(position)
        outputs: list[Any] = [None] * len(inputs)
        for names, positions in groups.items():
            frame = self._frame([inputs[position] for position in positions], names)
            for position, answer in zip(positions, _answers(self._call(model, frame), len(positions)), strict=True):
                outputs[position] = answer
        return outputs

    def _present(self, row: Any, position: int) -> tuple[str, ...]:
        if not isinstance(row, dict):
            raise InvalidInputError(f"Input {position} must be an object; it is {shortened(row)}.")
        return tuple(column["name"] for column in self._columns if _is_there(column, row, position))

    def _frame(self, rows: Sequence[Mapping[str, Any]], names: tuple[str, ...]) -> Any:
        import pandas as pd

        chosen = [column for column in self._columns if column["name"] in names]
        return pd.DataFrame({column["name"]: _series(column, rows) for column in chosen})


class TensorsFunction(JsonFunction):
    """Calls ``func(model, tensors)`` with an array, or for a signature with names a dict of them.

    Parameters
    ----------
    func : callable
    tensors : list of dict
        As the signature's ``to_dict()`` has them.
    """

    def __init__(self, func: Callable[[Any, Any], Any], tensors: Sequence[Mapping[str, Any]]) -> None:
        self.func, self._tensors = func, tensors
        self.__name__ = getattr(func, "__name__", type(func).__name__)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as the arguments."""
        return TensorsFunction, (self.func, self._tensors)

    def __call__(self, *arguments: Any) -> Any:
        """Return one output per input, in order; the arguments are the model and the list of inputs."""
        model, inputs = arguments
        import numpy as np

        arrays: dict[Any, Any] = {}
        for tensor in self._tensors:
            name, spec = tensor.get("name"), tensor["tensor-spec"]
            values = [value if name is None else value[name] for value in inputs]
            arrays[name] = np.array(values, dtype=spec["dtype"])
        answers = self.func(model, arrays.get(None, arrays))
        return _rows_of(answers) if isinstance(answers, dict) else answers


def _is_there(column: Mapping[str, Any], row: Mapping[str, Any], position: int) -> bool:
    if column["name"] in row:
        return row[column["name"]] is not None or column["type"] in HAVE_MISSING
    if column.get("required", True):
        raise InvalidInputError(f"Input {position} must be an object with '{column['name']}'; it is {shortened(row)}.")
    return False


def _series(column: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Any:
    import pandas as pd

    values = [_read(column, row[column["name"]]) for row in rows]
    return pd.Series(values, dtype=DTYPES.get(column["type"], object))


def _read(spec: Mapping[str, Any], value: Any) -> Any:
    """Return a value of JSON as one of MLflow's type *spec*; the schema has checked it."""
    kind = spec["type"]
    if value is None:
        return math.nan if kind in ("float", "double") else None
    if kind == "double" and isinstance(value, int) and not keeps_digits(value):
        raise InvalidInputError(f"The model takes a double, and {shortened(value)} has more digits than that keeps.")
    if kind in ("float", "double"):
        return _NOT_FINITE[value] if isinstance(value, str) else float(value)
    if kind == "binary":
        return base64.b64decode(value)
    if kind == "datetime":
        import pandas as pd

        return pd.Timestamp(value)
    if kind in ("integer", "long"):
        return int(value)
    if kind == "array":
        return _read_array(spec["items"], value)
    if kind == "map":
        return {name: _read_part(spec["values"], item) for name, item in value.items()}
    if kind == "object":
        parts = spec["properties"]
        return {name: _read_part(parts[name], item) for name, item in value.items() if name in parts}
    return value


def _read_part(spec: Mapping[str, Any], value: Any) -> Any:
    """Return a value of an object or map, where MLflow takes numbers of 32 bits as NumPy's alone."""
    read = _read(spec, value)
    if spec["type"] not in ("float", "integer") or read is None:
        return read
    import numpy as np

    return np.dtype(DTYPES[spec["type"]]).type(read)


def _read_array(items: Mapping[str, Any], values: Sequence[Any]) -> Any:
    """Return a list, or of numbers of 32 bits an array: MLflow does not convert those of a list, which have 64."""
    read = [_read(items, value) for value in values]
    if items["type"] not in ("float", "integer"):
        return read
    import numpy as np

    return np.array(read, dtype=DTYPES[items["type"]])


def _answers(returned: Any, num_inputs: int) -> Sequence[Any]:
    """Return one answer per input; raises :class:`PredictionError` for another number of them."""
    answers = as_batch(_rows_of(returned) if isinstance(returned, dict) else returned, num_inputs)
    if len(answers) != num_inputs:
        raise wrong_number(len(answers), num_inputs)
    return answers


def _rows_of(arrays: Mapping[str, Any]) -> Sequence[Any]:
    """Return a dict of arrays as one object per input, with a value of each array."""
    return [dict(zip(arrays, row, strict=True)) for row in zip(*arrays.values(), strict=True)]
