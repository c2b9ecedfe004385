"""The replica's own Spark: a local session, tuned for small batches, whose JVM ends with this process.

The JVM reads its standard input, which this process holds open: when this process ends in any way, the JVM ends too.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import logging
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clipper_nb.protocol.environment import CLUSTER_FOLDER, JVM_ENDED_EXIT_STATUS
from clipper_nb.protocol.resource_limits import JAVA_HEAP_SHARE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1"
_NOTEBOOKS_VARIABLES = (
    "PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET", "PYSPARK_SUBMIT_ARGS", "PYSPARK_DRIVER_PYTHON",
    "SPARK_REMOTE", "SPARK_API_MODE", "SPARK_CONNECT_MODE_ENABLED", "SPARK_LOCAL_DIRS", "MASTER",
)  # fmt: skip
"""On the embedded cluster a replica inherits these, and they would use the notebook's own Spark or change ours."""
_ARROW = "spark.sql.execution.arrow.pyspark.enabled"
_SETTINGS = {
    # One partition: a batch of requests is small, and each further task costs more than it saves. Replicas scale.
    "spark.master": "local[1]",
    "spark.default.parallelism": "1",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.adaptive.enabled": "false",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.host": _LOOPBACK,
    "spark.driver.bindAddress": _LOOPBACK,
}
_CONTAINER_MEMORY_FILES = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
_JVM_OPTIONS = (
    "-XX:+UseSerialGC",  # a collector with its own threads would compete for the core that computes
    "-XX:+ExitOnOutOfMemoryError",  # the state after one cannot be trusted; a new replica starts instead
)


def start_session(
    app_name: str, *, driver_memory_bytes: int, session_settings: Mapping[str, str] | None = None
) -> SparkSession:
    """Return a session that has run its first job.

    Parameters
    ----------
    app_name : str
    driver_memory_bytes : int
        The most that the JVM's heap may use; less if the container's own limit is too small.
    session_settings : dict, optional
        Settings of the notebook's session that change answers.
    """
    folder = tempfile.mkdtemp(prefix="spark-", dir=os.environ.get(CLUSTER_FOLDER))
    for name in _NOTEBOOKS_VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(SPARK_LOCAL_IP=_LOOPBACK, PYSPARK_PYTHON=sys.executable, SPARK_LOCAL_DIRS=folder)
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

    has_arrow = all(importlib.util.find_spec(name) for name in ("pandas", "pyarrow"))
    conf = SparkConf()
    by_default = {_ARROW: str(has_arrow).lower()}  # where the notebook's release did not tell it
    for name, value in {**by_default, **(session_settings or {}), **_SETTINGS}.items():
        conf.set(name, value)
    conf.set("spark.sql.warehouse.dir", f"file://{folder}/warehouse")
    conf.set("spark.driver.memory", f"{_heap_bytes(driver_memory_bytes) // 2**20}m")
    conf.set("spark.driver.extraJavaOptions", " ".join([*_JVM_OPTIONS, f"-Djava.io.tmpdir={folder}"]))
    session = SparkSession.builder.appName(app_name).config(conf=conf).getOrCreate()
    _end_together(session, folder)
    # The first job loads classes that all others need too: planning, code generation, a task, its result.
    session.createDataFrame([(1.0,)], "warm_up double").selectExpr("sum(warm_up)").collect()
    return session


def _heap_bytes(wanted_bytes: int) -> int:
    for file in _CONTAINER_MEMORY_FILES:
        with contextlib.suppress(OSError, ValueError):  # another version of control groups, or "max"
            return min(wanted_bytes, int(JAVA_HEAP_SHARE * int(file.read_text())))
    return wanted_bytes


def _end_together(session: SparkSession, folder: str) -> None:
    """End this process when the JVM ends, so that it is restarted; and end the JVM with this process."""
    jvm: Any = session.sparkContext._gateway.proc
    is_leaving = threading.Event()

    def watch() -> None:
        status = jvm.wait()
        if not is_leaving.is_set():
            logger.error("Spark's JVM has ended with status %s; so does this replica", status)
            logging.shutdown()
            os._exit(JVM_ENDED_EXIT_STATUS)

    def leave() -> None:
        is_leaving.set()
        jvm.kill()
        jvm.wait()
        shutil.rmtree(folder, ignore_errors=True)

    threading.Thread(target=watch, name="jvm-watch", daemon=True).start()
    atexit.register(leave)
