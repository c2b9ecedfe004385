"""Objects that live in one process, and what to do instead of taking them along.

They are recognised by module and class name, so that no library is imported for the check.
"""

from __future__ import annotations

import sys
from typing import Any

_INSIDE = "create it inside the function"
_ONCE = "inside the function, once, and keep it in a global variable of a module"
_READ = "read it into a variable before, or open it inside the function"
_SPARK = (
    "; a function for clipper_nb.deployers.pyspark gets the replica's session and model as arguments spark and model"
)
_KINDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("a lock", _INSIDE, (
        "_thread.lock", "_thread.RLock", "threading.Condition", "threading.Semaphore", "threading.Event",
        "threading.Barrier", "multiprocessing.synchronize.SemLock", "multiprocessing.synchronize.Event",
        "multiprocessing.synchronize.Condition",
    )),
    ("a queue between threads or processes", _INSIDE, (
        "queue.Queue", "_queue.SimpleQueue", "multiprocessing.queues.Queue", "multiprocessing.queues.SimpleQueue",
    )),
    ("a pipe between processes", _INSIDE, ("multiprocessing.connection._ConnectionBase",)),
    ("a thread", _INSIDE, ("threading.Thread", "_thread._local")),
    ("a pool of workers", _INSIDE, ("concurrent.futures._base.Executor", "multiprocessing.pool.Pool")),
    ("a process", _INSIDE, ("subprocess.Popen", "multiprocessing.process.BaseProcess")),
    ("an event loop", _INSIDE, ("asyncio.events.AbstractEventLoop",)),
    ("a task of an event loop", "take along its result", (
        "_asyncio.Future", "_asyncio.Task", "concurrent.futures._base.Future",
    )),
    ("a socket", _INSIDE, ("_socket.socket", "zmq.sugar.socket.Socket", "zmq.sugar.context.Context")),
    ("a temporary folder", _INSIDE, ("tempfile.TemporaryDirectory",)),
    ("an open file", _READ, (
        "_io._IOBase", "io.IOBase", "tempfile._TemporaryFileWrapper", "mmap.mmap", "zipfile.ZipFile",
        "tarfile.TarFile",
    )),
    ("a generator", "make a list of it", ("builtins.generator", "builtins.async_generator", "builtins.coroutine")),
    ("a weak reference", "take along what it refers to", (
        "weakref.ReferenceType", "weakref.WeakKeyDictionary", "weakref.WeakValueDictionary", "weakref.ProxyType",
        "weakref.CallableProxyType",
    )),
    ("a frame or traceback", "take along what it says", ("builtins.frame", "builtins.traceback")),
    ("a database connection", f"connect {_ONCE}", (
        "sqlite3.Connection", "sqlite3.Cursor", "aiosqlite.core.Connection", "sqlalchemy.engine.base.Engine",
        "sqlalchemy.engine.base.Connection", "sqlalchemy.engine.result.Result", "sqlalchemy.orm.session.Session",
        "sqlalchemy.orm.session.sessionmaker", "sqlalchemy.orm.scoping.scoped_session",
        "sqlalchemy.ext.asyncio.engine.AsyncEngine", "psycopg2.extensions.connection", "psycopg2.extensions.cursor",
        "psycopg2.pool.AbstractConnectionPool", "psycopg._connection_base.BaseConnection",
        "psycopg._cursor_base.BaseCursor", "psycopg_pool.base.BasePool", "asyncpg.connection.Connection",
        "asyncpg.pool.Pool", "pymysql.connections.Connection", "pymysql.cursors.Cursor",
        "mysql.connector.abstracts.MySQLConnectionAbstract", "mysql.connector.abstracts.MySQLCursorAbstract",
        "pyodbc.Connection", "pyodbc.Cursor", "_duckdb.DuckDBPyConnection", "duckdb.duckdb.DuckDBPyConnection",
        "duckdb._relation.DuckDBPyRelation", "_duckdb.DuckDBPyRelation", "duckdb.duckdb.DuckDBPyRelation",
        "pymongo.mongo_client.MongoClient", "pymongo.synchronous.mongo_client.MongoClient",
        "pymongo.asynchronous.mongo_client.AsyncMongoClient", "pymongo.synchronous.database.Database",
        "pymongo.synchronous.collection.Collection", "redis.client.Redis", "redis.asyncio.client.Redis",
        "redis.client.PubSub", "redis.connection.ConnectionPool",
    )),
    ("a client of a service", f"create it {_ONCE}", (
        "httpx._client.BaseClient", "aiohttp.client.ClientSession", "urllib3.poolmanager.PoolManager", "grpc.Channel",
        "openai._base_client.BaseClient", "anthropic._base_client.BaseClient", "botocore.client.BaseClient",
        "boto3.resources.base.ServiceResource", "google.cloud.client.Client", "distributed.client.Client",
    )),
    ("a session of ONNX Runtime", f"take along the model's bytes, and create the session {_ONCE}", (
        "onnxruntime.capi.onnxruntime_inference_collection.Session",
    )),
    ("an open file of arrays", "read what you need into an array before, or open it inside the function", (
        "h5py._hl.base.HLObject", "tables.file.File", "netCDF4._netCDF4.Dataset", "pandas.HDFStore",
        "pandas.io.pytables.HDFStore",
    )),
    ("a Spark session", f"each replica has its own session{_SPARK}", (
        "pyspark.sql.session.SparkSession", "pyspark.context.SparkContext", "pyspark.core.context.SparkContext",
    )),
    ("a DataFrame or RDD of Spark", f"create it inside the function, or collect() it before{_SPARK}", (
        "pyspark.sql.dataframe.DataFrame", "pyspark.rdd.RDD", "pyspark.core.rdd.RDD", "pyspark.sql.column.Column",
    )),
    ("a broadcast or accumulator of Spark", f"take along its value{_SPARK}", (
        "pyspark.broadcast.Broadcast", "pyspark.core.broadcast.Broadcast", "pyspark.accumulators.Accumulator",
    )),
    ("a model or another object of Spark", f"pass a model as pyspark_model{_SPARK}", (
        "pyspark.ml.wrapper.JavaWrapper", "pyspark.mllib.common.JavaModelWrapper", "py4j.java_gateway.JavaObject",
        "py4j.java_gateway.JavaGateway",
    )),
    ("a handle of a CUDA device", _INSIDE, (
        "torch.cuda.streams.Stream", "torch.cuda.streams.Event", "cupy._core.core.ndarray", "cupy.cuda.stream.Stream",
        "pycuda._driver.Context",
    )),
    ("a widget", "read its value into a variable before", ("ipywidgets.widgets.widget.Widget",)),
    ("the notebook's shell", "it is useful only in the notebook", (
        "IPython.core.interactiveshell.InteractiveShell",
    )),
    ("a clipper_nb connection", "connect() inside the function", ("clipper_nb.connection.ClipperConnection",)),
)  # fmt: skip
_BY_NAME = {name: (what, instead) for what, instead, names in _KINDS for name in names}


def describe_immovable(value: Any) -> str | None:
    """Return what an object is that cannot leave its process, and what to do; ``None`` for all others."""
    known = _kind_of(type(value))
    if known is None and _is_tensor(value) and value.is_cuda:
        known = "a tensor on a CUDA device", "take it along as .cpu()"
    if known is None and _is_of_rpy2(value):
        known = _kind_in_r(value)
    if known is None:
        return None
    name = getattr(value, "name", None) if known[1] is _READ else None
    return f"{known[0]}{f', {name!r}' if isinstance(name, str) else ''}; {known[1]}"


def may_be_immovable(value: Any) -> bool:
    """Return whether an object that can leave its process says nothing about others of its type."""
    return _is_tensor(value) or _is_of_rpy2(value)


def _is_tensor(value: Any) -> bool:
    return "torch.Tensor" in _class_names(type(value))


def _is_of_rpy2(value: Any) -> bool:
    return type(value).__module__.partition(".")[0] == "rpy2"


def _kind_of(cls: type) -> tuple[str, str] | None:
    if cls.__module__ == "_io" and cls.__name__ in ("BytesIO", "StringIO"):  # they hold their whole content
        return None
    return next((_BY_NAME[name] for name in _class_names(cls) if name in _BY_NAME), None)


def _class_names(cls: type) -> list[str]:
    return [f"{base.__module__}.{base.__qualname__}" for base in cls.__mro__]


def _kind_in_r(value: Any) -> tuple[str, str] | None:
    """Return the same for an R object, which rpy2 would serialise as R does: a pointer would point to nothing."""
    if "connection" in map(str, getattr(value, "rclass", ())):
        return "an R connection", "open it inside the function"
    names = _class_names(type(value))
    if "rpy2.rinterface.SexpExtPtr" in names:
        return "an external pointer of R", _INSIDE
    globalenv = getattr(sys.modules.get("rpy2.rinterface"), "globalenv", None)
    if "rpy2.rinterface_lib.sexp.SexpEnvironment" in names and value.rid == getattr(globalenv, "rid", None):
        return "R's global environment", "take along the variables of it that you need"
    return None
