"""PySpark models: how long a call takes for one input and for 64, how long a replica takes to be ready, and its memory.

On the embedded cluster, without a cache. One random forest, asked in two ways: with ``transform``, which runs a
Spark job, and with ``predict_vector``, which computes on the driver. Memory is the proportional set size (PSS) of the
replica's process and its JVM. ``languages.py`` prints them.
"""

from __future__ import annotations

import os
from typing import Any

from load.processes import REPLICA, cluster_processes, pss_bytes
from measuring import Samples, timed
from one_by_one import BATCH_SIZES, measure_requests

from clipper_nb import ClipperConnection, LocalContainerManager
from clipper_nb.deployers.pyspark import create_endpoint, predict_vector

NUM_STARTS = 3
NUM_REQUESTS = 100
SLO_MICROS = 20_000_000
START = "Spark: deploy until the replica is ready"


def ask_with_a_job(spark: Any, model: Any, inputs: list) -> list:
    """Predict as Spark does on data frames."""
    from pyspark.ml.linalg import Vectors

    rows = spark.createDataFrame([(Vectors.dense(x),) for x in inputs], ["features"])
    return [row.prediction for row in model.transform(rows).collect()]


def ask_the_driver(spark: Any, model: Any, inputs: list) -> list:
    """Predict without a job."""
    return [predict_vector(model, x) for x in inputs]


def measure_spark(samples: Samples) -> dict[str, float]:
    """Add start-up times and latencies to *samples*; return the memory of replicas in MB by what they serve."""
    from pyspark.ml.classification import RandomForestClassifier
    from pyspark.ml.linalg import Vectors
    from pyspark.sql import SparkSession
    from sklearn.datasets import load_iris

    session = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    flowers, labels = load_iris(return_X_y=True)
    rows = [(float(label), Vectors.dense(flower)) for label, flower in zip(labels, flowers, strict=True)]
    frame = session.createDataFrame(rows, ["label", "features"])
    forest = RandomForestClassifier(numTrees=10, seed=1).fit(frame)
    name = f"bench-spark-{os.getpid()}"
    conn = ClipperConnection(LocalContainerManager(name, clipper_query_port=0, clipper_management_port=0))
    conn.start_clipper(query_token=False, cache_size=0)
    memory_mb: dict[str, float] = {}
    with conn:
        for kind, func in {"Spark: forest, transform": ask_with_a_job, "Spark: forest, driver": ask_the_driver}.items():
            for run in range(NUM_STARTS):
                with timed(samples, START):
                    create_endpoint(conn, f"run-{run}", "doubles", func, forest, session, slo_micros=SLO_MICROS)
                if run:
                    conn.stop_models([f"run-{run}"])
                    conn.unregister_application(f"run-{run}")
            for batch_size in BATCH_SIZES:
                measure_requests(
                    samples, f"{kind}, {batch_size} at once", conn.get_query_addr(), "run-0",
                    lambda i: [value + i * 1e-6 for value in flowers[i % len(flowers)].tolist()], batch_size,
                    num_warm_ups=20, num_requests=NUM_REQUESTS,
                )  # fmt: skip
            memory_mb[kind] = sum(map(pss_bytes, cluster_processes(name)[REPLICA])) / 1e6  # the process and its JVM
            conn.stop_models(["run-0"])
            conn.unregister_application("run-0")
    session.stop()
    return memory_mb
