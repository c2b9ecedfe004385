"""What cannot leave its process is known by its kind; what only looks like it travels."""

from __future__ import annotations

import asyncio
import collections
import io
import multiprocessing
import queue
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import weakref
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import FunctionType
from typing import Any, ClassVar

import cloudpickle
import pytest

from clipper_nb.closures.parts import Part, find_parts
from clipper_nb.closures.unpicklable import describe_immovable

# A model of ONNX: one float, as it is.
IDENTITY = (
    b'\x08\x08:7\n\x10\n\x01a\x12\x01b"\x08Identity\x12\x01gZ\x0f\n\x01a\x12\n\n\x08\x08\x01\x12\x04'
    b"\n\x02\x08\x01b\x0f\n\x01b\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x11"
)


@pytest.fixture
def closing() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _kinds(closing: ExitStack) -> list[tuple[Any, str]]:
    ends = multiprocessing.Pipe()
    sock = closing.enter_context(socket.socket())
    loop = asyncio.new_event_loop()
    closing.callback(loop.close)
    for end in ends:
        closing.callback(end.close)
    database = sqlite3.connect(":memory:")
    closing.callback(database.close)
    process = closing.enter_context(subprocess.Popen([sys.executable, "-c", ""]))
    pool = closing.enter_context(ThreadPoolExecutor())
    archive = closing.enter_context(zipfile.ZipFile(io.BytesIO(), "w"))
    folder = tempfile.TemporaryDirectory()
    closing.callback(folder.cleanup)
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

    return [
        (threading.RLock(), "a lock"), (threading.Condition(), "a lock"), (threading.Barrier(2), "a lock"),
        (multiprocessing.Lock(), "a lock"), (queue.LifoQueue(), "a queue"), (queue.SimpleQueue(), "a queue"),
        (ends[0], "a pipe"), (threading.local(), "a thread"), (pool, "a pool of workers"), (process, "a process"),
        (loop, "an event loop"), (Future(), "a task"), (loop.create_future(), "a task"), (sock, "a socket"),
        (closing.enter_context(tempfile.TemporaryFile()), "an open file"), (archive, "an open file"),
        (folder, "a temporary folder"), ((n for n in ()), "a generator"),
        (weakref.ref(pool), "a weak reference"), (weakref.WeakValueDictionary(), "a weak reference"),
        (sys._getframe(), "a frame"), (database, "a database connection"), (Redis(), "a database connection"),
        (AsyncRedis(), "a database connection"),
    ]  # fmt: skip


def test_each_kind_is_known(closing: ExitStack) -> None:
    for thing, kind in _kinds(closing):
        assert (describe_immovable(thing) or "").startswith(kind), type(thing)


def _things_of_libraries(closing: ExitStack, folder: Path) -> Iterator[tuple[Any, str]]:
    """Yield connections, clients and files of the libraries that are used most; none needs a server."""
    # Imported here: that takes seconds, in each process of a run.
    import boto3
    import duckdb
    import h5py
    import httpx
    import onnxruntime
    import openai
    import psycopg
    import pymongo
    import pymysql
    import sqlalchemy.orm
    import urllib3

    duck = closing.enter_context(duckdb.connect())
    yield duck, "a database connection"
    yield duck.sql("select 1"), "a database connection"
    mongo = closing.enter_context(pymongo.MongoClient(connect=False))
    yield from ((thing, "a database connection") for thing in (mongo, mongo["a"], mongo["a"]["b"]))
    postgres = psycopg.Connection(psycopg.pq.PGconn.connect_start(b"host=127.0.0.1 port=1"))
    closing.callback(postgres.close)
    yield from ((thing, "a database connection") for thing in (postgres, psycopg.Cursor(postgres)))
    mysql = pymysql.connect(defer_connect=True)
    yield from ((thing, "a database connection") for thing in (mysql, mysql.cursor()))
    engine = sqlalchemy.create_engine("sqlite://")
    closing.callback(engine.dispose)
    sessions = sqlalchemy.orm.sessionmaker(engine)
    yield from ((thing, "a database connection") for thing in (engine, sessions, sessions()))
    result = closing.enter_context(engine.connect()).execute(sqlalchemy.text("select 1"))
    yield result, "a database connection"
    yield closing.enter_context(httpx.Client()), "a client of a service"
    yield urllib3.PoolManager(), "a client of a service"
    yield closing.enter_context(openai.OpenAI(api_key="none")), "a client of a service"
    storage = boto3.client("s3", region_name="eu-west-1", aws_access_key_id="none", aws_secret_access_key="none")
    yield storage, "a client of a service"
    yield closing.enter_context(h5py.File(folder / "a.h5", "w")), "an open file of arrays"
    yield onnxruntime.InferenceSession(IDENTITY), "a session of ONNX Runtime"


@pytest.mark.slow
def test_connections_and_clients_of_libraries_are_known(closing: ExitStack, tmp_path: Path) -> None:
    for thing, kind in _things_of_libraries(closing, tmp_path):
        assert (describe_immovable(thing) or "").startswith(kind), type(thing)
        with pytest.raises(Exception, match=r"pickle|reduce|local"):  # what can be pickled must not be refused
            cloudpickle.dumps(thing)


def test_picklable_objects_are_not_immovable() -> None:
    things: list[Any] = [
        1, "a", None, io.BytesIO(b"a"), io.StringIO("a"), ValueError("a"), range(3), len, dict, collections.deque([1]),
        weakref.WeakSet(), type, describe_immovable, sys,
    ]  # fmt: skip
    assert [describe_immovable(thing) for thing in things] == [None] * len(things)


def test_parts_are_found_wherever_they_are_kept() -> None:
    wanted = threading.Lock()
    # Not of an installed module, as a class of a cell.
    cls = type("Cell", (), {"__module__": "__main__", "shared": wanted})
    for value, path in [
        ({"a": [0, wanted]}, "['a'][1]"),
        ({("k" * 100, 1): wanted}, f"[('{'k' * 38}…]"),
        (collections.deque([wanted]), "[0]"),
        (collections.namedtuple("Pair", "one two")(1, wanted), ".two"),
        ({1, wanted}, " (an element)"),
        (cls, ".shared"),
        (cls(), ".shared"),
    ]:  # fmt: skip
        assert list(find_parts(value, {id(wanted)})) == [Part(path, wanted)]


def test_parts_that_hold_each_other_end() -> None:
    ring: list[Any] = []
    ring.append({"ring": ring})
    assert list(find_parts(ring, {0})) == []


def test_globals_of_a_function_are_not_its_parts() -> None:
    lock = threading.Lock()
    func = FunctionType((lambda: None).__code__, {"lock": lock})
    assert list(find_parts(func, {id(lock)})) == []


def test_parts_in_slots_are_found_also_of_installed_classes() -> None:
    half = Fraction(1, 2)
    lock = threading.Lock()
    setattr(half, "_numerator", lock)  # noqa: B010  # no type allows it
    assert list(find_parts(half, {id(lock)})) == [Part("._numerator", lock, Part("", half))]


def test_private_attribute_is_reported_as_its_library_object() -> None:
    lock = threading.Lock()
    half = Fraction(1, 2)
    setattr(half, "_numerator", {"a": Fraction(1, 3)})  # noqa: B010
    setattr(half._numerator["a"], "_denominator", lock)  # noqa: B010
    (part,) = find_parts([half], {id(lock)})
    assert part == Part("[0]._numerator['a']._denominator", lock, Part("[0]", half))

    cell = type("Cell", (), {"__module__": "__main__"})()
    cell._lock = lock
    setattr(half, "_numerator", cell)  # noqa: B010
    assert list(find_parts(half, {id(lock)})) == [Part("._numerator._lock", lock)]


class Key(str):
    """Adds to a dictionary when that is read, as another thread of the notebook may."""

    kept_in: ClassVar[dict[Any, Any]] = {}

    def __repr__(self) -> str:
        self.kept_in[len(self.kept_in)] = 0
        return "key"


def test_dict_that_grows_during_the_walk_is_walked_completely() -> None:
    lock = threading.Lock()
    Key.kept_in.update({Key("a"): 1, Key("b"): lock})
    assert list(find_parts(Key.kept_in, {id(lock)})) == [Part("[key]", lock)]
