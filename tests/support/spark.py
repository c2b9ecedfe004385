"""Spark as a notebook has it."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sklearn.datasets import load_iris

FLOWERS, SPECIES = load_iris(return_X_y=True)

QUIET = [
    # PySpark leaves sockets to the garbage collector, and calls what its libraries have deprecated.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:pyspark"),
]
"""Marks for tests with a session in their own process."""


@contextmanager
def notebook_session() -> Iterator[Any]:
    """Give a session with settings of its own; its JVM stays until the tests end, and is used again."""
    from pyspark.sql import SparkSession

    before = dict(os.environ)
    settings = {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2",
        "spark.sql.session.timeZone": "Pacific/Auckland",
    }
    session = SparkSession.builder.master("local[2]").config(map=settings).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    try:
        yield session
    finally:
        session.stop()
        gc.collect()
        os.environ.clear()
        os.environ.update(before)


def flowers_frame(spark: Any) -> Any:
    """Return all flowers as vectors, with their species as labels."""
    from pyspark.ml.linalg import Vectors

    rows = [(Vectors.dense(flower), float(label)) for flower, label in zip(FLOWERS, SPECIES, strict=True)]
    return spark.createDataFrame(rows, ["features", "label"])
