"""Replicas in Python are forked from a nursery or a template; only the time that it takes shows that."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import random
import signal
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from clipper_nb import ClipperConnection, ModelLoadError, ReplicaStartError
from clipper_nb.deployers.python import deploy_python_closure
from tests.support.clusters import eventually, running_cluster

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked"),
]

NUM_REPLICAS = 3


@pytest.fixture(scope="module")
def conn() -> Iterator[ClipperConnection]:
    with running_cluster("local", cache_size=0) as running:
        yield running


def deploy(conn: ClipperConnection, name: str, function: Any, version: int = 1, **options: Any) -> None:
    """Deploy a version of a model to the application of that name."""
    deploy_python_closure(conn, name, version, "doubles", function, **options)
    if version == 1:
        conn.register_application(name, "doubles", "-", 20_000_000)
        conn.link_model_to_app(name, name)


def ask(conn: ClipperConnection, application: str) -> Any:
    reply = conn.predict(application, [random.random()])
    assert not reply.default, reply
    return reply.output


def ask_each(conn: ClipperConnection, application: str, num_replicas: int = NUM_REPLICAS) -> list[dict[str, Any]]:
    """Return the answer of each replica, which says its process id."""
    answers: dict[int, dict[str, Any]] = {}

    def ask_one() -> None:
        answer = ask(conn, application)
        answers.setdefault(answer["pid"], answer)

    def ask_all() -> bool:
        callers = [threading.Thread(target=ask_one) for _ in range(2 * num_replicas)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        return len(answers) >= num_replicas

    eventually(ask_all, within_s=20, what=f"{num_replicas} replicas answer")
    return list(answers.values())


def supervisor_of(conn: ClipperConnection) -> psutil.Process:
    return psutil.Process(conn.cm._folder.read_record().supervisor_pid)  # type: ignore[attr-defined]


def supervisor_log(conn: ClipperConnection) -> str:
    return Path(conn.cm._folder.supervisor_log_path).read_text()  # type: ignore[attr-defined]


def replica_pids(conn: ClipperConnection, model: str) -> list[int]:
    return [each.pid for each in conn.cm.observe_replicas() if each.model == model and each.pid]


def parents_of_replicas(conn: ClipperConnection) -> list[psutil.Process]:
    """Return the nurseries and templates: what the supervisor had forked that is no replica."""
    replicas = {each.pid for each in conn.cm.observe_replicas()}
    children = supervisor_of(conn).children()
    return [each for each in children if "clipper_nb.runtime.nursery" in each.cmdline() and each.pid not in replicas]


class Loaded:
    """Knows in which process it was loaded."""

    def __init__(self) -> None:
        self.pid = os.getpid()

    def __reduce__(self) -> Any:
        return Loaded, ()


def num_templates(conn: ClipperConnection) -> int:
    return sum(each.cmdline()[-1].startswith("template ") for each in parents_of_replicas(conn))


def read_descriptors() -> list[str]:
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
    return found


def describe_self(loaded: Loaded) -> dict[str, Any]:
    import faulthandler
    import multiprocessing

    time.sleep(0.05)
    print("described", flush=True)
    mask = os.umask(0)
    os.umask(mask)
    return {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "session": os.getsid(0),
        "loaded_in": loaded.pid,
        "numbers": [random.random(), float(np.random.rand()), float(np.random.default_rng().random())],
        "name": os.environ["CLIPPER_CONTAINER_NAME"],
        "seen_name": psutil.Process().environ()["CLIPPER_CONTAINER_NAME"].strip(),
        "command": " ".join(psutil.Process().cmdline()[1:]).strip(),
        "folder": os.getcwd(),
        "umask": mask,
        "argument": sys.argv[0].rpartition("clipper_nb")[2],
        "has_faulthandler": faulthandler.is_enabled(),
        "main": str(sys.modules["__main__"]),
        "children": len(multiprocessing.active_children()),
        "num_threads": threading.active_count(),
        "output": os.readlink("/proc/self/fd/1"),
        "num_sockets": sum(name.startswith("socket") for name in read_descriptors()),
    }


def test_forked_replicas_are_processes_of_their_own(conn):
    loaded = Loaded()

    def serve(inputs: list) -> list:
        facts = describe_self(loaded)
        return [facts for _ in inputs]

    deploy(conn, "own", serve, num_replicas=NUM_REPLICAS)
    answers = ask_each(conn, "own")
    assert len(answers) == NUM_REPLICAS
    first = {each["loaded_in"] for each in answers}
    assert len(first) == 1, "the model is loaded once"
    assert first < {each["pid"] for each in answers}, "by the first replica"
    numbers = [number for each in answers for number in each["numbers"]]
    assert len(set(numbers)) == len(numbers)
    for each in answers:
        assert each["parent"] == supervisor_of(conn).pid
        assert each["session"] == each["pid"]
        assert each["name"] == each["seen_name"]
        assert each["command"] == f"-m clipper_nb.runtime.model_container {each['name']}"
        assert each["output"] == str(conn.cm._folder.log_path(each["name"]))
        assert "described" in conn.cm.get_log_tail(each["name"])
        assert each["has_faulthandler"]
        assert each["argument"] == "/runtime/model_container/__main__.py"
        assert each["main"] == "<module '__main__'>"
    same = [
        {name: each[name] for name in ("folder", "umask", "num_threads", "children", "num_sockets")} for each in answers
    ]
    assert same == NUM_REPLICAS * [same[0]]
    assert len({each["name"] for each in answers}) == NUM_REPLICAS


def test_setup_runs_in_each_replica(conn):
    def prepare() -> None:
        os.environ["PREPARED_IN"] = str(os.getpid())

    def serve(inputs: list) -> list:
        time.sleep(0.05)
        return [{"pid": os.getpid(), "prepared_in": int(os.environ["PREPARED_IN"])} for _ in inputs]

    deploy(conn, "prepared", serve, num_replicas=NUM_REPLICAS, setup=prepare)
    assert all(each["pid"] == each["prepared_in"] for each in ask_each(conn, "prepared"))
    assert "each replica of prepared:1 loads the model itself: its setup function runs in each" in supervisor_log(conn)


class StartsThread:
    """Is loaded by starting a thread, which no fork has."""

    def __init__(self) -> None:
        self.thread = threading.Thread(target=time.sleep, args=(3600,), name="worker", daemon=True)
        self.thread.start()

    def __reduce__(self) -> Any:
        return StartsThread, ()


class DrawsNumber:
    """Is loaded by drawing a number, which each replica must do itself."""

    def __init__(self) -> None:
        self.number = random.random()

    def __reduce__(self) -> Any:
        return DrawsNumber, ()


class OpensFile:
    """Is loaded by opening a file, whose position forked replicas would share."""

    def __init__(self) -> None:
        self.file = os.open("/dev/zero", os.O_RDONLY)

    def __reduce__(self) -> Any:
        return OpensFile, ()


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (StartsThread, "it runs 1 more threads"),
        (DrawsNumber, "loading it seeds or draws random numbers of random"),
        (OpensFile, "it has /dev/zero open"),
    ],
)
def test_model_that_a_fork_cannot_copy_is_loaded_by_each(conn, kind, reason):
    model, name = kind(), kind.__name__.lower()

    def serve(inputs: list) -> list:
        time.sleep(0.05)
        is_alive = model.thread.is_alive() if hasattr(model, "thread") else True
        return [{"pid": os.getpid(), "is_alive": is_alive, "number": getattr(model, "number", 0)} for _ in inputs]

    deploy(conn, name, serve, num_replicas=2)
    answers = ask_each(conn, name, 2)
    assert all(each["is_alive"] for each in answers)
    if kind is DrawsNumber:
        assert len({each["number"] for each in answers}) == 2
    assert f"each replica of {name}:1 loads the model itself: {reason}" in supervisor_log(conn)


def test_replicas_outlive_what_they_were_forked_from(conn):
    def serve(inputs: list) -> list:
        time.sleep(0.02)
        return [{"pid": os.getpid()} for _ in inputs]

    deploy(conn, "orphans", serve, num_replicas=2)
    before = sorted(replica_pids(conn, "orphans:1"))
    killed = parents_of_replicas(conn)
    assert len(killed) >= 2, "a nursery and a template"
    for process in killed:
        process.kill()
    assert sorted(each["pid"] for each in ask_each(conn, "orphans", 2)) == before
    conn.set_num_replicas("orphans", 4)
    assert len(ask_each(conn, "orphans", 4)) == 4
    for process in parents_of_replicas(conn):
        process.kill()
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: len(replica_pids(conn, "orphans:1")) == 4, within_s=20, what="the replica is back")
    assert len(ask_each(conn, "orphans", 4)) == 4
    deploy(conn, "orphans", serve, version=2)
    assert ask(conn, "orphans")["pid"] in replica_pids(conn, "orphans:2")


def start_daemon() -> int:
    """Fork a process with its own session, without outputs or a parent; return its process id."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(writer, str(os.getpid()).encode())
            os.closerange(0, 100)
            time.sleep(600)
        os._exit(0)
    os.wait()
    return int(os.read(reader, 32))


def test_daemon_that_a_replica_forks_ends_with_it(conn):
    deploy(conn, "daemons", lambda inputs: [start_daemon() for _ in inputs])
    daemon = psutil.Process(ask(conn, "daemons"))
    assert daemon.is_running()
    conn.set_num_replicas("daemons", 0)
    assert not daemon.is_running() or daemon.status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("stays_open", [True, False])
def test_replica_that_leaves_keeps_its_promises(conn, tmp_path, stays_open):
    """It does what is registered for its end, and writes what is left in a buffer."""
    name, ended, buffered = f"leaving-{stays_open}".lower(), str(tmp_path / "ended"), str(tmp_path / "buffered")

    def serve(inputs: list) -> list:
        import atexit

        atexit.register(lambda: Path(ended).write_text("done"))
        if stays_open:
            sys.my_file = open(buffered, "w")  # type: ignore[attr-defined]  # noqa: SIM115
            sys.my_file.write("a line")  # type: ignore[attr-defined]
        return [os.getpid() for _ in inputs]

    deploy(conn, name, serve)
    ask(conn, name)
    conn.set_num_replicas(name, 0)
    assert Path(ended).read_text() == "done"
    assert not stays_open or Path(buffered).read_text() == "a line"


def test_template_ends_with_its_version(conn):
    deploy(conn, "ending", lambda inputs: [{"pid": os.getpid()} for _ in inputs])
    eventually(lambda: num_templates(conn) > 0, within_s=5, what="there is a template")
    num_before = num_templates(conn)
    conn.stop_models(["ending"])
    assert num_templates(conn) == num_before - 1
    assert not [each for each in supervisor_of(conn).children() if each.status() == psutil.STATUS_ZOMBIE]


class EndsProcess:
    def __reduce__(self) -> Any:
        return os._exit, (7,)


class Raises:
    def __reduce__(self) -> Any:
        return int, ("not a number",)


def test_failed_load_is_told_as_that_of_any_process(conn):
    ends, raises = EndsProcess(), Raises()
    with pytest.raises(ReplicaStartError) as ended:
        deploy(conn, "ends", lambda inputs: [ends for _ in inputs], num_replicas=2)
    assert ended.value.exit_status == 7
    with pytest.raises(ModelLoadError, match="not a number") as raised:
        deploy(conn, "raises", lambda inputs: [raises for _ in inputs], num_replicas=2)
    assert raised.value.exit_status == 1
    assert "ValueError" in str(raised.value.__cause__)


def test_edit_of_a_module_is_seen_by_the_next_deploy(conn, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    for version, factor in ((1, 2), (2, 3)):
        (tmp_path / "own_factors.py").write_text(f"FACTOR = {factor}\n")
        sys.modules.pop("own_factors", None)

        def serve(inputs: list) -> list:
            import own_factors

            return [own_factors.FACTOR for _ in inputs]

        deploy(conn, "edited", serve, version=version)
        assert ask(conn, "edited") == factor


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of an installed library that no test had before."""
    name = f"library_of_process_{os.getpid()}"
    file = Path(sysconfig.get_path("purelib")) / f"{name}.py"
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield file
    file.unlink(missing_ok=True)
    sys.modules.pop(name, None)


def import_as_it_is_now(library: Path) -> Any:
    importlib.invalidate_caches()
    sys.modules.pop(library.stem, None)
    return importlib.import_module(library.stem)


def test_library_is_imported_once_until_it_is_upgraded(conn, library):
    versions = itertools.count(1)

    def deploy_and_ask() -> tuple[int, int, int]:
        installed = import_as_it_is_now(library)
        deploy(
            conn, "user-of-library", lambda xs: [[installed.NUMBER, installed.PID, os.getpid()] for _ in xs],
            next(versions),
        )  # fmt: skip
        return tuple(ask(conn, "user-of-library"))

    library.write_text("import os\nPID = os.getpid()\nNUMBER = 1\n")

    def was_imported_before() -> bool:
        number, importer, replica = deploy_and_ask()
        assert number == 1
        return importer != replica

    assert not was_imported_before()
    # At once, unless another test installs something at this moment.
    eventually(was_imported_before, within_s=20, what="a replica has found the library imported")
    library.write_text("import os\nPID = os.getpid()\nNUMBER = 2  # of another release\n")
    assert deploy_and_ask()[0] == 2


def test_library_that_runs_a_thread_is_imported_by_each(conn, library):
    library.write_text(
        "import os\nimport threading\nPID = os.getpid()\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    installed = import_as_it_is_now(library)
    for version in (1, 2):
        deploy(conn, "with-a-thread", lambda xs: [[installed.PID, os.getpid()] for _ in xs], version)
        importer, replica = ask(conn, "with-a-thread")
        assert importer == replica
    reason = "a nursery that has them cannot fork: it runs 1 more threads"
    assert f"each replica imports ['{library.stem}'] itself: {reason}" in supervisor_log(conn)


@pytest.mark.parametrize(
    ("what_it_does", "status", "what_the_log_has"),
    [("os._exit(7)", 7, ""), ("import faulthandler; faulthandler._sigsegv()", -signal.SIGSEGV, "Fatal Python error")],
)
def test_import_that_crashes_is_told_as_that_of_any_process(conn, library, what_it_does, status, what_the_log_has):
    library.write_text("NUMBER = 1\n")
    installed = import_as_it_is_now(library)
    library.write_text(f"import os\n{what_it_does}\n")
    with pytest.raises(ReplicaStartError) as crashed:
        deploy(conn, "crashes", lambda xs: [installed.NUMBER for _ in xs])
    assert crashed.value.exit_status == status
    assert what_the_log_has in crashed.value.log_tail


def test_environment_is_there_before_the_first_import(conn):
    def serve(inputs: list) -> list:
        return [[os.environ["OMP_NUM_THREADS"], time.strftime("%Z")] for _ in inputs]

    deploy(conn, "zone", serve, environment_variables={"TZ": "Asia/Tokyo", "OMP_NUM_THREADS": "1"})
    assert ask(conn, "zone") == ["1", "JST"]
    deploy(conn, "zone", serve, version=2, environment_variables={"TZ": "Europe/Paris", "OMP_NUM_THREADS": "2"})
    assert ask(conn, "zone")[0] == "2"
    assert ask(conn, "zone")[1] in ("CET", "CEST")
