"""Objects that live in one process, and what to do instead of taking them along.

They are known by module and class name, so that nothing is imported to look for it.
"""

from __future__ import annotations

from typing import Any

_INSIDE = "make it inside the function"
_READ = "read it into a variable before, or open it inside the function"
_KINDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("a lock", _INSIDE, ("_thread.lock", "_thread.RLock", "threading.Condition", "threading.Semaphore",
     "threading.Event")),
    ("a thread", _INSIDE, ("threading.Thread", "_thread._local")),
    ("a pool of workers", _INSIDE, ("concurrent.futures._base.Executor", "multiprocessing.pool.Pool")),
    ("a process", _INSIDE, ("subprocess.Popen", "multiprocessing.process.BaseProcess")),
    ("an event loop", _INSIDE, ("asyncio.events.AbstractEventLoop",)),
    ("a socket", _INSIDE, ("_socket.socket",)),
    ("an open file", _READ, ("_io._IOBase", "io.IOBase", "tempfile._TemporaryFileWrapper", "mmap.mmap")),
    ("a generator", "make a list of it", ("builtins.generator", "builtins.async_generator", "builtins.coroutine")),
    (
        "a database connection", "connect inside the function, once, and keep it in a global variable of a module",
        (
            "sqlite3.Connection", "sqlite3.Cursor",
            "sqlalchemy.engine.base.Engine", "sqlalchemy.engine.base.Connection", "sqlalchemy.orm.session.Session",
            "sqlalchemy.ext.asyncio.engine.AsyncEngine", "psycopg2.extensions.connection",
            "psycopg._connection_base.BaseConnection", "pymysql.connections.Connection",
            "mysql.connector.abstracts.MySQLConnectionAbstract", "_duckdb.DuckDBPyConnection",
            "pymongo.mongo_client.MongoClient", "pymongo.synchronous.mongo_client.MongoClient", "redis.client.Redis",
        ),
    ),
    (
        "an object of a Spark session", "deploy it with clipper_nb.deployers.pyspark, whose function gets a session",
        (
            "pyspark.sql.session.SparkSession", "pyspark.context.SparkContext", "pyspark.core.context.SparkContext",
            "pyspark.sql.dataframe.DataFrame", "pyspark.rdd.RDD", "pyspark.core.rdd.RDD",
            "py4j.java_gateway.JavaObject", "py4j.java_gateway.JavaGateway",
        ),
    ),
    ("a handle of a CUDA device", "make it inside the function",
     ("torch.cuda.streams.Stream", "torch.cuda.streams.Event", "cupy._core.core.ndarray", "cupy.cuda.stream.Stream",
      "pycuda._driver.Context")),
    ("a clipper_nb connection", "connect() inside the function", ("clipper_nb.connection.ClipperConnection",)),
)  # fmt: skip
_BY_NAME = {name: (what, instead) for what, instead, names in _KINDS for name in names}


def describe_immovable(value: Any) -> str | None:
    """Return what an object is that cannot leave its process, and what to do; ``None`` for all others."""
    known = _kind_of(type(value))
    if known is None and "torch.Tensor" in _class_names(type(value)) and value.is_cuda:
        known = "a tensor on a CUDA device", "take it along as .cpu()"
    if known is None and "connection" in _r_classes(value):
        known = "an R connection", "open it inside the function"
    if known is None:
        return None
    name = getattr(value, "name", None) if known[1] is _READ else None
    return f"{known[0]}{f', {name!r}' if isinstance(name, str) else ''}; {known[1]}"


def _kind_of(cls: type) -> tuple[str, str] | None:
    if cls.__module__ == "_io" and cls.__name__ in ("BytesIO", "StringIO"):  # they have all that they read
        return None
    return next((_BY_NAME[name] for name in _class_names(cls) if name in _BY_NAME), None)


def _class_names(cls: type) -> list[str]:
    return [f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__]


def _r_classes(value: Any) -> tuple[str, ...]:
    """Return the classes that an object of R has there."""
    if type(value).__module__.partition(".")[0] != "rpy2":
        return ()
    return tuple(map(str, getattr(value, "rclass", ())))
