"""Deploys that fail: each its own exception, in time, with the replica's words; the old version serves on."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clipper_nb import (
    ClipperConnection,
    DeploymentError,
    ExistsError,
    ImageBuildError,
    ImageNotFoundError,
    InvalidRequestError,
    ModelImportError,
    ModelLoadError,
    ReplicaStartError,
    SerializationError,
    StartTimeoutError,
)
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.support.clusters import new_manager, query, running_cluster

pytestmark = pytest.mark.cluster


class OnLoad:
    """A model that does something when it is unpickled."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action

    def __reduce__(self) -> tuple:
        action = self.action
        return (action, ())

    def __call__(self, inputs: list) -> list:
        return [0 for _ in inputs]


def _load_raises() -> None:
    print("reading the weights")
    raise RuntimeError("the weights are corrupt")


def _load_hangs() -> None:
    print("waiting for a file that never comes")
    time.sleep(120)


@pytest.fixture(scope="module")
def markers() -> Iterator[Path]:
    """A folder of this machine in which replicas may make files: containers too see it, under the same path."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        os.chmod(folder, 0o777)  # containers run as a user of their own
        yield Path(folder)


@pytest.fixture(scope="module")
def served(kind: str, markers: Path) -> Iterator[ClipperConnection]:
    """A cluster whose model 'm' has a version that serves."""
    volumes = {"volumes": {str(markers): {"bind": str(markers), "mode": "rw"}}}
    options = {"model_container_kwargs": volumes} if kind == "docker" else {}
    with running_cluster(kind, manager=new_manager(kind, **options)) as conn:
        create_endpoint(conn, "m", "doubles", lambda inputs: ["old" for _ in inputs], slo_micros=5_000_000)
        yield conn


def _check_nothing_changed(conn: ClipperConnection) -> None:
    assert conn.get_all_models() == ["m:1"]
    assert [container.model for container in conn.cm.observe_replicas()] == ["m:1"]
    assert len(conn.get_all_model_replicas()) == 1
    assert query(conn, "m", {"input": [time.monotonic()]})[1]["output"] == "old"


def test_what_cannot_be_pickled_is_named(served: ClipperConnection) -> None:
    lock = threading.Lock()

    def predict(inputs: list) -> list:
        with lock:
            return inputs

    with pytest.raises(SerializationError, match=r"'predict' cannot be pickled.*'lock' \(lock\)"):
        deploy_python_closure(served, "m", 2, "doubles", predict)
    _check_nothing_changed(served)


def test_a_missing_import_names_the_module(served: ClipperConnection) -> None:
    module = types.ModuleType("no_such_package")
    module.__file__ = os.path.join(os.path.dirname(os.__file__), "no_such_package.py")  # as if it were installed
    exec("def helper(x): return x", module.__dict__)
    sys.modules["no_such_package"] = module
    try:
        helper = module.helper
        with pytest.raises(ModelImportError, match="cannot import 'no_such_package'") as caught:
            deploy_python_closure(served, "m", 2, "doubles", lambda inputs: [helper(x) for x in inputs])
    finally:
        del sys.modules["no_such_package"]
    assert "pkgs_to_install" in str(caught.value)
    assert "ModuleNotFoundError" in str(caught.value.__cause__)
    assert caught.value.exit_status == 3
    _check_nothing_changed(served)


def test_a_load_that_raises_shows_its_traceback_and_log(served: ClipperConnection) -> None:
    with pytest.raises(ModelLoadError, match="RuntimeError: the weights are corrupt") as caught:
        deploy_python_closure(served, "m", 2, "doubles", OnLoad(_load_raises))
    assert "reading the weights" in caught.value.log_tail
    assert "in _load_raises" in str(caught.value.__cause__)
    _check_nothing_changed(served)


@pytest.mark.parametrize(
    ("action", "status", "words"),
    [
        (lambda: os._exit(7), 7, "ended with exit status 7 before it was ready"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), -9, "ended by signal 9.*out of memory"),
        (lambda: os.kill(os.getpid(), signal.SIGSEGV), -11, "ended by signal 11"),
    ],
)
def test_a_process_that_ends_while_loading_tells_its_status(
    served: ClipperConnection, action: Callable[[], None], status: int, words: str
) -> None:
    with pytest.raises(ReplicaStartError, match=words) as caught:
        deploy_python_closure(served, "m", 2, "doubles", OnLoad(action))
    assert caught.value.exit_status == status
    _check_nothing_changed(served)


def test_an_exit_while_loading_is_an_error_of_the_load(served: ClipperConnection) -> None:
    with pytest.raises(ModelLoadError, match="SystemExit"):
        deploy_python_closure(served, "m", 2, "doubles", OnLoad(lambda: sys.exit(0)))
    _check_nothing_changed(served)


def test_a_load_that_hangs_ends_at_the_deadline_and_shows_where(served: ClipperConnection, kind: str) -> None:
    # The replica shows its stack after 80 % of the time since it runs, and a container takes up to a second to start.
    timeout_s = 3 if kind == "local" else 8
    started_s = time.monotonic()
    with pytest.raises(StartTimeoutError) as caught:
        deploy_python_closure(served, "m", 2, "doubles", OnLoad(_load_hangs), timeout_s=timeout_s)
    assert timeout_s <= time.monotonic() - started_s < timeout_s + 3
    assert "waiting for a file that never comes" in caught.value.log_tail
    assert "_load_hangs" in caught.value.log_tail  # the stack, written shortly before the deadline
    assert (caught.value.num_ready, caught.value.num_replicas) == (0, 1)
    _check_nothing_changed(served)


def test_one_failing_replica_of_several_fails_the_deploy(served: ClipperConnection, markers: Path) -> None:
    marker = str(markers / f"second-{served.cm.cluster_name}")

    def second_fails() -> None:
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            raise RuntimeError("only one of us") from None

    with pytest.raises(ModelLoadError, match="only one of us"):
        deploy_python_closure(served, "m", 2, "doubles", OnLoad(second_fails), num_replicas=2)
    _check_nothing_changed(served)


def test_a_package_that_does_not_exist_shows_what_pip_said(served: ClipperConnection) -> None:
    with pytest.raises(
        ImageBuildError, match="No matching distribution found for clipper-nb-no-such-package"
    ) as caught:
        deploy_python_closure(
            served, "m", 2, "doubles", lambda inputs: inputs, pkgs_to_install=["clipper-nb-no-such-package==0.0.1"]
        )
    assert isinstance(caught.value, DeploymentError)
    _check_nothing_changed(served)


def test_a_registered_version_is_refused_before_anything_is_built(served: ClipperConnection) -> None:
    with pytest.raises(ExistsError, match="versions are immutable"):
        deploy_python_closure(
            served, "m", 1, "doubles", lambda inputs: inputs, pkgs_to_install=["clipper-nb-no-such-package==0.0.1"]
        )
    _check_nothing_changed(served)


def test_another_input_type_than_the_linked_application_is_refused_before_anything_is_built(
    served: ClipperConnection,
) -> None:
    with pytest.raises(InvalidRequestError, match="takes doubles; a version that takes strings"):
        deploy_python_closure(served, "m", 2, "strings", lambda inputs: inputs)
    _check_nothing_changed(served)


def test_an_unknown_image_is_refused(served: ClipperConnection) -> None:
    with pytest.raises(ImageNotFoundError, match="no image 'nowhere:1'"):
        served.deploy_model("m", 2, "doubles", "nowhere:1")
    _check_nothing_changed(served)


def test_a_failed_endpoint_leaves_no_application_and_can_be_tried_again(served: ClipperConnection) -> None:
    with pytest.raises(ModelLoadError):
        create_endpoint(served, "again", "doubles", OnLoad(_load_raises))
    assert served.get_all_apps() == ["m"]
    create_endpoint(served, "again", "doubles", lambda inputs: [1 for _ in inputs], slo_micros=5_000_000)
    assert query(served, "again", {"input": []})[1]["output"] == 1
    served.stop_models(["again"])
    served.unregister_application("again")
    _check_nothing_changed(served)


def test_scaling_up_that_fails_keeps_the_replicas_there_are(served: ClipperConnection, markers: Path) -> None:
    marker = str(markers / f"first-{served.cm.cluster_name}")

    def only_first_loads() -> OnLoad:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        return OnLoad(_load_raises)

    deploy_python_closure(served, "scaled", 1, "doubles", OnLoad(only_first_loads))
    with pytest.raises(ModelLoadError, match="FileExistsError"):
        served.set_num_replicas("scaled", 3)
    assert served.get_num_replicas("scaled") == 1
    assert sum(replica.startswith("scaled:") for replica in served.get_all_model_replicas()) == 1
    served.stop_models(["scaled"])
    _check_nothing_changed(served)


def test_an_interrupted_deploy_leaves_nothing(served: ClipperConnection) -> None:
    """The user presses stop while the cell waits."""
    timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        deploy_python_closure(served, "m", 2, "doubles", OnLoad(_load_hangs))
    timer.join()
    _check_nothing_changed(served)
