"""A PySpark model as a model: Spark runs in local mode beside this process, and has run a job before the first query.

Spark's JVM computes while Python waits for a socket, so heartbeats go on during long calls.
"""

from __future__ import annotations

import importlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.inputs import decode_input
from clipper_nb.protocol.outputs import encode_outputs
from clipper_nb.runtime.model_container.python_model import load_function
from clipper_nb.runtime.model_container.spark_errors import short_spark_errors
from clipper_nb.runtime.model_container.spark_session import start_session

SPARK_MODEL_FOLDER = "pyspark_model_data"
SAMPLE_INPUTS_FILE = "sample_inputs.pkl"


class PySparkModel:
    """Calls ``func(spark, model, inputs)``.

    Parameters
    ----------
    func : callable
    spark : SparkSession
    model : object
        What Spark loaded, or ``None``.
    """

    def __init__(self, func: Callable[[Any, Any, list[Any]], Any], spark: Any, model: Any) -> None:
        self._func, self._spark, self._model = func, spark, model

    def predict(self, inputs: list[Any]) -> Any:
        """Return what the function returns; rows become dicts and vectors lists."""
        with short_spark_errors():
            outputs = self._func(self._spark, self._model, inputs)
            return [_plain(output) for output in outputs] if isinstance(outputs, list) else outputs


def load_pyspark_model(folder: Path) -> PySparkModel:
    """Return the function and the model in *folder*, with Spark warm and the sample inputs predicted.

    Raises
    ------
    ImportError
        PySpark is missing, or the module of the model's class.
    """
    metadata = json.loads((folder / "metadata.json").read_text())
    spark = start_session(
        "clipper_nb",
        driver_memory_bytes=metadata["driver_memory_bytes"],
        session_settings=metadata["session_settings"],
    )
    with short_spark_errors():
        model = _load_spark_model(spark, metadata["model_class"], folder / SPARK_MODEL_FOLDER)
    if "threshold" in metadata:  # of a classifier of mllib: Spark saves its default in place of what was set
        model.clearThreshold() if metadata["threshold"] is None else model.setThreshold(metadata["threshold"])
    loaded = PySparkModel(load_function(folder), spark, model)
    samples = folder / SAMPLE_INPUTS_FILE
    if samples.exists():
        _predict_samples(loaded, InputType(metadata["input_type"]), pickle.loads(samples.read_bytes()))
    return loaded


def _load_spark_model(spark: Any, model_class: str | None, path: Path) -> Any:
    """Return the model; *model_class* is ``module:name``, or ``None`` where there is no model."""
    if model_class is None:
        return None
    module, _, name = model_class.partition(":")
    loader: Any = getattr(importlib.import_module(module), name)
    address = path.resolve().as_uri()  # whatever file system the settings say
    if module.startswith("pyspark.mllib."):
        return loader.load(spark.sparkContext, address)
    return loader.load(address)


def _predict_samples(model: PySparkModel, input_type: InputType, payloads: list[bytes]) -> None:
    """Predict sample inputs alone and together, as queries come; what they raise fails the deploy."""
    inputs = [decode_input(input_type, payload) for payload in payloads]
    for batch in (inputs[:1], inputs):
        encode_outputs(model.predict(list(batch)), num_inputs=len(batch))


def _plain(output: Any) -> Any:
    if hasattr(output, "asDict"):  # a Row, which is a tuple too and would lose its names
        return output.asDict(recursive=True)
    return output.toArray() if hasattr(output, "toArray") else output
