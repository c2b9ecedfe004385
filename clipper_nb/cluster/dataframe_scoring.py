"""Scores a Spark DataFrame with what is deployed: the same function in the same replicas, so the same numbers.

Rows go through a temporary application, which is removed at the end. Its SLO is long, so no row gets a default output;
and because queues serve the earliest deadline first, queries of other applications are served before the rows.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from clipper_nb.errors import InvalidRequestError, ModelNotFoundError, NotFoundError, PredictionError
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.predict_body import TEXT_TYPES

if TYPE_CHECKING:
    from clipper_nb.cluster.ports import ClusterCalls

_BATCH_ROWS = 64
"""Rows per request: a replica that computes them cannot serve other queries meanwhile."""
_SLO_MICROS = 600_000_000


def score_dataframe(
    conn: ClusterCalls, name: str, df: Any, input_col: str, output_col: str, version: int | str | None
) -> Any:
    """Return *df* with the column *output_col*; *name* is an application, else a model."""
    if not hasattr(df, "toLocalIterator"):
        raise InvalidRequestError(
            f"df must be a Spark DataFrame, not {type(df).__name__}; use predict_batch() for other rows."
        )
    if input_col not in df.columns:
        raise InvalidRequestError(f"The DataFrame has no column '{input_col}'; it has {', '.join(df.columns)}.")
    if output_col in df.columns:
        raise InvalidRequestError(f"The DataFrame has a column '{output_col}' already; choose another output_col.")
    rows: list[Any] = []
    outputs: list[Any] = []
    with _patient_application(conn, name, version) as (application, input_type):
        as_input = _choose_reader(df.schema[input_col], input_type)
        iterator = iter(df.toLocalIterator())
        while batch := list(itertools.islice(iterator, _BATCH_ROWS)):
            inputs = [as_input(row[input_col], len(rows) + n) for n, row in enumerate(batch)]
            for prediction in conn.predict_batch(application, inputs, version=version):
                if prediction.default:
                    raise PredictionError(f"Row {len(outputs)} has no prediction: {prediction.explanation}")
                outputs.append(prediction.output)
            rows.extend(batch)
    return _with_column(df, rows, output_col, outputs)


@contextlib.contextmanager
def _patient_application(conn: ClusterCalls, name: str, version: int | str | None) -> Iterator[tuple[str, InputType]]:
    """Yield the name and input type of an application that is linked to the same model and has a long SLO."""
    model_name = _find_model(conn, name, version)
    current = conn.get_current_model_version(model_name)
    record = conn.records("predict_dataframe()").get_model(ModelId(model_name, current))
    if record is None:
        raise ModelNotFoundError(model_name, current)
    application = f"predict-dataframe-{uuid.uuid4().hex[:8]}"
    conn.register_application(application, record.input_type, "", _SLO_MICROS)
    try:
        conn.link_model_to_app(application, model_name)
        yield application, record.input_type
    finally:
        conn.unregister_application(application)


def _find_model(conn: ClusterCalls, name: str, version: int | str | None) -> str:
    application = conn.records("predict_dataframe()").get_application(name)
    if application is not None:
        if application.linked_model is None:
            raise InvalidRequestError(f"Application '{name}' has no model; link one.")
        if application.traffic and (version is None or len(application.linked_models) > 1):
            raise InvalidRequestError(
                f"Application '{name}' has its traffic set: {application.routing}. One version scores a data frame: "
                "pass the name of a model, and its version."
            )
        return application.linked_model
    if not any(model.rpartition(":")[0] == name for model in conn.get_all_models()):
        raise NotFoundError(f"There is no application and no model with name '{name}'.")
    return name


def _choose_reader(field: Any, input_type: InputType) -> Callable[[Any, int], Any]:
    """Return what reads an input from a cell of a column with that field, and the number of its row."""
    from pyspark.sql.types import NumericType

    if input_type is InputType.JSON:
        return _as_json
    has_numbers = isinstance(field.dataType, NumericType) and input_type not in TEXT_TYPES
    return _as_number if has_numbers else _as_input


def _as_number(value: Any, row: int) -> Any:
    """Return a cell of a column of numbers as one input, a list of one number; ``null`` is a missing one."""
    return [value]


def _as_json(value: Any, row: int) -> Any:
    """Return any cell as one input of type ``json``: a struct is an object, a vector a list, ``null`` is ``null``."""
    if hasattr(value, "asDict"):
        return value.asDict(recursive=True)
    return value.toArray() if hasattr(value, "toArray") else value


def _as_input(value: Any, row: int) -> Any:
    """Return another cell as one input: vectors as arrays."""
    if value is None:
        raise InvalidRequestError(f"Row {row} has no input: it is null. Fill or drop such rows first.")
    return value.toArray() if hasattr(value, "toArray") else value


def _with_column(df: Any, rows: Sequence[Any], output_col: str, outputs: Sequence[Any]) -> Any:
    from pyspark.sql.types import StructField, StructType

    values, data_type = _column(outputs)
    schema = StructType([*df.schema.fields, StructField(output_col, data_type)])
    return df.sparkSession.createDataFrame(
        [(*row, value) for row, value in zip(rows, values, strict=True)], schema, verifySchema=False
    )


def _column(outputs: Sequence[Any]) -> tuple[list[Any], Any]:
    """Return the outputs as values of one column, and its type: the narrowest that has all of them, else JSON text."""
    from pyspark.sql import types

    kinds = {type(output) for output in outputs if output is not None}
    if kinds == {bool}:
        return list(outputs), types.BooleanType()
    if kinds == {int}:
        return list(outputs), types.LongType()
    if kinds & {int, float} and all(map(_is_number, outputs)):
        return list(map(_to_float, outputs)), types.DoubleType()
    if kinds == {list} and all(_is_number(item) for output in outputs for item in output or ()):
        lists = [None if output is None else list(map(_to_float, output)) for output in outputs]
        return lists, types.ArrayType(types.DoubleType())
    if kinds <= {str}:
        return list(outputs), types.StringType()
    texts = [output if isinstance(output, str) else json.dumps(output, ensure_ascii=False) for output in outputs]
    return texts, types.StringType()


def _is_number(value: Any) -> bool:
    return value is None or type(value) in (int, float)


def _to_float(value: Any) -> float | None:
    return None if value is None else float(value)
