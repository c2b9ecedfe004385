"""One vector, predicted without a Spark job: for functions that answer single queries fast.

This file is in images of model versions, so functions may import it: ``from clipper_nb.spark_vectors import
predict_vector``.
"""

from __future__ import annotations

import importlib
from typing import Any

from clipper_nb.errors import InvalidRequestError

_IGNORE_THRESHOLDS = ("DecisionTreeClassificationModel", "MultilayerPerceptronClassificationModel")
"""Their ``predict`` takes the most likely class, whatever ``thresholds`` says; their ``transform`` does not."""


def predict_vector(model: Any, vector: Any) -> float | int:
    """Return what a Spark model predicts for one vector, computed on the driver.

    It is what ``model.transform`` returns in the column ``prediction``, without planning and running a job, which takes
    a tenth of a second or two. For a pipeline, run its earlier stages first, in Python; ``pipeline.stages[-1]`` is the
    model.

    Parameters
    ----------
    model : model of pyspark.ml or pyspark.mllib
        One with ``predict``: classification, regression, or clustering.
    vector : sequence of numbers, or Vector
        The features.

    Returns
    -------
    float or int
        The prediction; cluster numbers are ``int``.

    Raises
    ------
    InvalidRequestError
        The model cannot predict one vector, or its ``predict`` may differ from its ``transform``.

    Examples
    --------
    >>> def species(spark, model, inputs):
    ...     return [predict_vector(model, x) for x in inputs]
    """
    name = type(model).__name__
    if not hasattr(model, "predict"):
        raise InvalidRequestError(f"A {name} cannot predict a single vector; use transform() on a DataFrame.")
    is_mllib = type(model).__module__.startswith("pyspark.mllib.")
    if not is_mllib:
        _refuse_inexact(model, name)
    prediction: float | int = model.predict(_as_vector(vector, is_mllib=is_mllib))
    return prediction


def _as_vector(vector: Any, *, is_mllib: bool) -> Any:
    if type(vector).__module__.startswith("pyspark."):
        return vector
    vectors: Any = importlib.import_module("pyspark.mllib.linalg" if is_mllib else "pyspark.ml.linalg")
    return vectors.Vectors.dense(vector)


def _refuse_inexact(model: Any, name: str) -> None:
    reason = None
    if name in _IGNORE_THRESHOLDS and model.isSet("thresholds"):
        reason = "its thresholds"
    elif model.hasParam("offsetCol") and model.isSet("offsetCol"):
        reason = "its offset column"
    elif name == "IsotonicRegressionModel":
        reason = "the feature of its featureIndex"
    if reason is not None:
        raise InvalidRequestError(
            f"The predict() of this {name} ignores {reason}, unlike its transform(); use transform()."
        )
