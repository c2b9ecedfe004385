"""Every way in which a deploy fails: one row each, with its own exception, in time, and nothing left of it.

The old version serves on, and no container, process, image or file of the attempt stays.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clipper_nb import (
    ClipperConnection,
    ClipperException,
    DiskFullError,
    DockerContainerManager,
    EngineUnreachableError,
    ImageNotFoundError,
    IncompatibleClusterError,
    IncompatibleEnvironmentError,
    KubernetesContainerManager,
    ModelImportError,
    ModelLoadError,
    PackageInstallError,
    ParityError,
    PredictionError,
    RegistryError,
    ReplicaMemoryError,
    ReplicaStartError,
    ResourceLimits,
    SerializationError,
    StartTimeoutError,
)
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from clipper_nb.images.library import default_base_image
from tests.support.clusters import (
    disconnect,
    kind_of,
    kubernetes_managers,
    new_manager,
    observe,
    query,
    running_cluster,
)
from tests.support.docker_images import image_of, remove_image
from tests.support.engine_proxy import engine_proxy
from tests.support.failing_models import OnLoad, load_eats_memory, load_hangs, load_panics, load_raises
from tests.support.old_clusters import OLD_VERSION, old_cluster
from tests.support.packages import package_index, write_wheel
from tests.support.registry import running_registry

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

Deploy = Callable[[ClipperConnection], None]

IN_CONTAINERS = (pytest.mark.also_on_docker, pytest.mark.also_on_kubernetes)

_MIB = 1 << 20


def _echo(inputs: list) -> list:
    return [float(x.sum()) for x in inputs]


def _deploying(func: Callable[[list], list], **options: Any) -> Deploy:
    return lambda conn: deploy_python_closure(conn, "m", 2, "doubles", func, **options)


def _weighted() -> Callable[[list], list]:
    weights = np.ones(3)
    return lambda inputs: [float(weights.sum()) for _ in inputs]


def _unpicklable() -> Callable[[list], list]:
    lock = threading.Lock()

    def predict(inputs: list) -> list:
        with lock:
            return inputs

    return predict


def _deploy_what_imports_a_missing_module(conn: ClipperConnection) -> None:
    module = types.ModuleType("no_such_package")
    module.__file__ = os.path.join(os.path.dirname(os.__file__), "no_such_package.py")  # as if it were installed
    exec("def helper(x): return x", module.__dict__)
    sys.modules["no_such_package"] = module
    try:
        helper = module.helper
        deploy_python_closure(conn, "m", 2, "doubles", lambda inputs: [helper(x) for x in inputs])
    finally:
        del sys.modules["no_such_package"]


def _deploy_what_hangs(conn: ClipperConnection) -> None:
    """The replica shows its stack after 80 % of the time since it runs, and a container takes up to a second to start;
    a stall of the machine may take another."""
    timeout_s = {"local": 6.0, "docker": 12.0, "kubernetes": 25.0}[kind_of(conn.cm)]
    deploy_python_closure(conn, "m", 2, "doubles", OnLoad(load_hangs), timeout_s=timeout_s)


def _otherwise_in_a_replica() -> Callable[[list], list]:
    """Answer by where it is called."""
    here = os.getpid()
    return lambda inputs: [1.0 if os.getpid() == here else 2.0 for _ in inputs]


def _wrong_in_a_replica(wrong: Callable[[list], Any]) -> Callable[[list], Any]:
    """Answer well in the notebook alone."""
    here = os.getpid()
    return lambda inputs: [1.0 for _ in inputs] if os.getpid() == here else wrong(inputs)


@dataclass(frozen=True)
class Fault:
    """One way to fail.

    Attributes
    ----------
    deploy : callable
        Tries it.
    error : type
        Exactly this.
    words : str
        In its sentence, as a pattern.
    cause : str
        In the cause's text, as a pattern; empty: whatever.
    log : str
        In ``log_tail``.
    attributes : dict
        What else it carries.
    within_s : float
        The most that it may take, on a slow machine.
    kinds : tuple
        The container managers that it can happen to.
    differs_in_containers : bool
        The engine, or Kubernetes, has a part in it: it is always tried there.
    """

    deploy: Deploy
    error: type[ClipperException]
    words: str
    cause: str = ""
    log: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    within_s: float = 60.0
    kinds: tuple[str, ...] = ("local", "docker", "kubernetes")
    differs_in_containers: bool = False


FAULTS = {
    "unpicklable object": Fault(
        _deploying(_unpicklable()), SerializationError, r"'predict' cannot be pickled.*'lock' \(lock\)",
        within_s=30,
    ),
    "missing import": Fault(
        _deploy_what_imports_a_missing_module, ModelImportError,
        "cannot import 'no_such_package'(.|\n)*pkgs_to_install", "ModuleNotFoundError", attributes={"exit_status": 3},
    ),
    "missing library of the operating system": Fault(
        _deploying(OnLoad(lambda: ctypes.CDLL("libnowhere.so.3"))), ModelImportError,
        "needs 'libnowhere.so.3', a library of the operating system(.|\n)*base_image=", "cannot open shared object",
    ),
    "error while loading": Fault(
        _deploying(OnLoad(load_raises)), ModelLoadError, "RuntimeError: the weights are corrupt", "in load_raises",
        "reading the weights", differs_in_containers=True,
    ),
    "exit": Fault(
        _deploying(OnLoad(lambda: os._exit(7))), ReplicaStartError, "ended with exit status 7 before it was ready",
        attributes={"exit_status": 7}, differs_in_containers=True,
    ),
    "sys.exit": Fault(_deploying(OnLoad(lambda: sys.exit(0))), ModelLoadError, "SystemExit", "SystemExit"),
    "panic of a native library": Fault(
        _deploying(OnLoad(load_panics)), ModelLoadError, "Panic: .its text cannot be read", "Panic"
    ),
    "crash": Fault(
        _deploying(OnLoad(lambda: os.kill(os.getpid(), signal.SIGSEGV))), ReplicaStartError, "ended by signal 11",
        attributes={"exit_status": -11}, differs_in_containers=True,
    ),
    "killed by the system, as for memory": Fault(
        _deploying(OnLoad(lambda: os.kill(os.getpid(), signal.SIGKILL))), ReplicaStartError,
        "ended by signal 9(.|\n)*out of memory", attributes={"exit_status": -9},
    ),
    "killed at its memory limit": Fault(
        _deploying(OnLoad(load_eats_memory), limits=ResourceLimits(memory="128m")), ReplicaMemoryError,
        r"was killed at its memory limit(.|\n)*ResourceLimits\(memory", log="loading far too much",
        attributes={"exit_status": -9}, differs_in_containers=True,
    ),
    "hang while loading": Fault(
        _deploy_what_hangs, StartTimeoutError, "0 of 1 replicas(.|\n)*timeout_s",
        log="waiting for a file that never comes(.|\n)*load_hangs", attributes={"num_ready": 0, "num_replicas": 1},
    ),
    "wrong number of outputs on the samples, in the notebook": Fault(
        _deploying(lambda inputs: [1.0], sample_inputs=[[1.0], [2.0]]), PredictionError,
        "returned 1 outputs for 2 inputs", within_s=30,
    ),
    "wrong type of the outputs on the samples, in the notebook": Fault(
        _deploying(lambda inputs: 5, sample_inputs=[[1.0]]), PredictionError, "int", within_s=30
    ),
    "wrong number of outputs on the samples, in the replica": Fault(
        _deploying(_wrong_in_a_replica(lambda inputs: [1.0]), sample_inputs=[[1.0], [2.0]]), ParityError, "1 output"
    ),
    "wrong type of the outputs on the samples, in the replica": Fault(
        _deploying(_wrong_in_a_replica(lambda inputs: 5), sample_inputs=[[1.0]]), ParityError, "int"
    ),
    "other answers than in the notebook": Fault(
        _deploying(_otherwise_in_a_replica(), sample_inputs=[[1.0]]), ParityError, r"1\.0(.|\n)*2\.0"
    ),
    "raises on the samples, in the replica": Fault(
        _deploying(_wrong_in_a_replica(lambda inputs: [1 // 0]), sample_inputs=[[1.0]]), ParityError,
        "where it raised nothing: ZeroDivisionError: integer", "integer division(.|\n)*SampleMismatch",
    ),
    "image missing": Fault(
        lambda conn: conn.deploy_model("m", 2, "doubles", "nowhere:1"), ImageNotFoundError, "no image 'nowhere:1'",
        within_s=30, differs_in_containers=True,
    ),
    "package not found": Fault(
        _deploying(_echo, pkgs_to_install=["clipper-nb-no-such-package==0.0.1"]), PackageInstallError,
        "clipper-nb-no-such-package", log="No matching distribution found for clipper-nb-no-such-package", within_s=120,
        differs_in_containers=True,
    ),
    "incompatible environment": Fault(
        _deploying(_weighted(), pkgs_to_install=["numpy==1.0.0"]), IncompatibleEnvironmentError,
        rf"numpy +{np.__version__} +1\.0\.0", within_s=30,
    ),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _own_temporary_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder for temporary files that nobody else uses, so that what is left in it is ours."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("tmp"))
    yield
    tempfile.tempdir = before


@pytest.fixture(scope="module")
def served(kind: str) -> Iterator[ClipperConnection]:
    """A cluster whose model 'm' has a version that serves."""
    with running_cluster(kind) as conn:
        _serve(conn)
        yield conn


def _serve(conn: ClipperConnection) -> None:
    create_endpoint(conn, "m", "doubles", lambda inputs: ["old" for _ in inputs], slo_micros=5_000_000)


@contextlib.contextmanager
def _nothing_changes(conn: ClipperConnection) -> Iterator[None]:
    """See that afterwards is as before."""
    before = _all_there_is(conn)
    yield
    assert _all_there_is(conn) == before
    assert conn.get_all_models() == ["m:1"]
    assert [container.model for container in conn.cm.observe_replicas()] == ["m:1"]
    assert query(conn, "m", {"input": [time.monotonic()]})[1]["output"] == "old"


def _all_there_is(conn: ClipperConnection) -> dict[str, list[str]]:
    """Return what a deploy makes: replicas, images, files."""
    manager = conn.cm
    if isinstance(manager, DockerContainerManager):
        images = [tag for image in manager.get_images() if image.cluster for tag in image.tags]
        containers = [c.name for c in manager._containers.find()]
    elif isinstance(manager, KubernetesContainerManager):
        images = kubernetes_managers().image_tags(manager)
        containers = [c.name for c in observe(conn)]
    else:
        images = [str(path) for path in sorted(manager._folder.path.glob("images/**/*"))]
        containers = [c.name for c in manager._observe()]
    return {
        "replicas": sorted(conn.get_all_model_replicas()),
        "containers": sorted(containers),
        "images": sorted(images),
        "temporary folders": sorted(map(str, Path(tempfile.gettempdir()).glob("clipper_nb-*"))),
    }


def _expect(fault: Fault, conn: ClipperConnection) -> None:
    """Deploy, and see that it fails as it should."""
    started_s = time.monotonic()
    with pytest.raises(ClipperException) as caught:
        fault.deploy(conn)
    took_s = time.monotonic() - started_s
    error = caught.value
    assert type(error) is fault.error, repr(error)
    assert re.search(fault.words, str(error)), str(error)
    assert re.search(fault.cause, str(error.__cause__)), error.__cause__
    assert re.search(fault.log, getattr(error, "log_tail", "")), error
    assert {name: getattr(error, name) for name in fault.attributes} == fault.attributes
    assert took_s < fault.within_s


@pytest.mark.same_on_docker
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=IN_CONTAINERS if fault.differs_in_containers else ()) for name, fault in FAULTS.items()],
)
def test_a_deploy_fails_by_name_and_in_time_and_leaves_nothing(name: str, kind: str, served: ClipperConnection) -> None:
    fault = FAULTS[name]
    if kind not in fault.kinds:
        with pytest.raises(ClipperException, match="which it cannot limit"):
            fault.deploy(served)
        return
    with _nothing_changes(served):
        _expect(fault, served)


# ------------------------------------------------------------------------- failures that need surroundings of their own


@pytest.mark.same_on_docker
@pytest.mark.not_on_kubernetes("no image is built otherwise than on Docker")
def test_no_space(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded cluster's folder is on a small disk; on Docker pip's temporary folder is."""
    if kind == "local":
        with (
            _small_disk(tmp_path / "small") as folder,
            running_cluster(kind, manager=new_manager(kind, root_folder=folder)) as conn,
        ):
            _serve(conn)
            large = np.random.default_rng(0).random(8 * _MIB)
            deploy = _deploying(lambda inputs: [large[0] for _ in inputs])
            with _nothing_changes(conn):
                _expect(Fault(deploy, DiskFullError, "No space is left in .*root_folder"), conn)
        return
    with running_cluster(kind) as conn:
        assert isinstance(conn.cm, DockerContainerManager)
        _serve(conn)
        client = conn.cm.docker_client
        with image_of(client, f"FROM {default_base_image()}\nENV TMPDIR=/dev/shm\n") as small:  # 64 MB
            base = conn.cm._builder.build_base("python_closure", small)
            wheel = write_wheel(tmp_path, "clipper_nb_test_big", extra_bytes=80 * _MIB)
            with package_index(tmp_path, [wheel]) as index, _nothing_changes(conn):
                monkeypatch.setenv("PIP_INDEX_URL", f"{index.url}/simple/")
                deploy = _deploying(_echo, base_image=small, pkgs_to_install=["clipper-nb-test-big"])
                _expect(Fault(deploy, DiskFullError, "No space(.|\n)*docker image prune", within_s=300), conn)
            remove_image(client, base)


@pytest.mark.parametrize("kind", [pytest.param("docker", marks=pytest.mark.docker)], scope="module")
def test_a_registry_that_refuses(kind: str, served: ClipperConnection, tmp_path: Path) -> None:
    with running_registry(tmp_path, refuses="writes") as registry, _nothing_changes(served):
        _expect(Fault(_deploying(_echo, registry=registry.address), RegistryError, "cannot be pushed"), served)


@pytest.mark.parametrize("kind", [pytest.param("docker", marks=pytest.mark.docker)], scope="module")
def test_a_system_package_that_is_not_found(kind: str, served: ClipperConnection) -> None:
    fault = Fault(
        _deploying(_echo, system_packages=["clipper-nb-no-such-package"]), PackageInstallError,
        "apt could not install .*clipper-nb-no-such-package", within_s=120,
        log="Unable to locate package clipper-nb-no-such-package",
    )  # fmt: skip
    with _nothing_changes(served):
        _expect(fault, served)


@pytest.mark.parametrize("kind", [pytest.param("docker", marks=pytest.mark.docker)], scope="module")
def test_an_engine_that_cannot_be_reached(
    kind: str, served: ClipperConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection loses the engine; the cluster and other connections do not."""
    with engine_proxy() as proxy, monkeypatch.context() as patched:
        patched.setenv("DOCKER_HOST", proxy.address)
        lost = ClipperConnection(new_manager(kind, served.cm.cluster_name))
        lost.connect()
        try:
            with _nothing_changes(served):
                proxy.cut()
                _expect(Fault(_deploying(_echo), EngineUnreachableError, "DOCKER_HOST"), lost)
        finally:
            disconnect(lost.cm)


@pytest.mark.same_on_docker
@pytest.mark.not_on_kubernetes("no older release ran there")
def test_a_cluster_of_an_old_release(kind: str, tmp_path: Path) -> None:
    with old_cluster(kind, tmp_path) as conn:
        fault = Fault(
            _deploying(_echo), IncompatibleClusterError, f"clipper_nb {OLD_VERSION}(.|\n)*start_clipper", within_s=30
        )
        with _nothing_changes(conn):
            _expect(fault, conn)
        told = {finding.subject: finding for finding in conn.doctor().findings}
        assert told["Query frontend"].state == told["Management frontend"].state == "problem"
        assert OLD_VERSION in told["Query frontend"].found


@pytest.mark.same_on_docker
@pytest.mark.not_on_kubernetes("a Service has ports of its own")
def test_taken_port_does_not_fail_the_start(kind: str, served: ClipperConnection) -> None:
    """Another cluster wants the same ports: it takes others, and says which."""
    ports = {name: getattr(served.cm, name) for name in
             ("clipper_query_port", "clipper_management_port", "clipper_rpc_port")}  # fmt: skip
    second = new_manager(kind, **ports)
    told = {finding.subject: finding for finding in ClipperConnection(second).doctor().findings}
    assert told["Ports"].state == "warning"
    assert str(ports["clipper_query_port"]) in told["Ports"].found
    with _nothing_changes(served), running_cluster(kind, manager=second) as conn:
        _serve(conn)
        assert conn.get_query_addr() != served.get_query_addr()
        assert query(conn, "m", {"input": [1.0]})[1]["output"] == "old"


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """Give a folder on a disk of 32 MB."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m,mode=700", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
