"""A function of Spark as a function of inputs: in the notebook, for its samples, as in the replicas."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from clipper_nb.model_functions.spark_errors import short_spark_errors


class SparkFunction:
    """Calls ``func(spark, model, inputs)``.

    Parameters
    ----------
    func : callable
    spark : SparkSession
    model : object
        A model of Spark, or ``None``.
    """

    def __init__(self, func: Callable[[Any, Any, list[Any]], Any], spark: Any, model: Any) -> None:
        self._func, self._spark, self._model = func, spark, model

    def __call__(self, inputs: list[Any]) -> Any:
        """Return what the function returns."""
        with short_spark_errors():
            return self._func(self._spark, self._model, inputs)
