"""A PySpark model as a model: Spark runs in local mode beside this process, and has run a job before the first query.

Spark's JVM computes while Python waits for a socket, so heartbeats continue during long calls.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from msgspec import UNSET

from clipper_nb.model_functions.coroutines import AwaitingFunction
from clipper_nb.model_functions.spark_errors import short_spark_errors
from clipper_nb.model_functions.spark_function import SparkFunction
from clipper_nb.protocol.model_folder import SPARK_MODEL_FOLDER, PySparkMetadata
from clipper_nb.runtime.model_container.python_model import PythonModel, load_function
from clipper_nb.runtime.model_container.spark_session import start_session


def load_pyspark_model(folder: Path, metadata: PySparkMetadata) -> PythonModel:
    """Return the function and the model in *folder*, with Spark warm.

    Raises
    ------
    ImportError
        PySpark is missing, or the module of the model's class.
    """
    spark = start_session(
        "clipper_nb",
        driver_memory_bytes=metadata.driver_memory_bytes,
        session_settings=metadata.session_settings,
    )
    with short_spark_errors():
        model = _load_spark_model(spark, metadata.model_class, folder / SPARK_MODEL_FOLDER)
    if metadata.threshold is not UNSET:  # of an mllib classifier: Spark saves the default, not the value set
        model.clearThreshold() if metadata.threshold is None else model.setThreshold(metadata.threshold)
    return PythonModel(SparkFunction(AwaitingFunction(load_function(folder)), spark, model))


def _load_spark_model(spark: Any, model_class: str | None, path: Path) -> Any:
    """Return the model; *model_class* is ``module:name``, or ``None`` without a model."""
    if model_class is None:
        return None
    module, _, name = model_class.partition(":")
    loader: Any = getattr(importlib.import_module(module), name)
    address = path.resolve().as_uri()  # even if the settings have another file system
    if module.startswith("pyspark.mllib."):
        return loader.load(spark.sparkContext, address)
    return loader.load(address)
