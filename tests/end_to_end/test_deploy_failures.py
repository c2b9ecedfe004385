"""Deploys that fail in the midst of others, are refused, or are interrupted: the old version serves on."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipper_nb import (
    ClipperConnection,
    ExistsError,
    InvalidRequestError,
    ModelLoadError,
)
from clipper_nb.deployers.python import create_endpoint, deploy_python_closure
from tests.support.clusters import eventually, new_manager, query, running_cluster
from tests.support.failing_models import OnLoad, load_hangs, load_raises

pytestmark = pytest.mark.cluster


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


@pytest.mark.same_on_docker
@pytest.mark.not_on_kubernetes("replicas there see no folder of this machine")
def test_one_failing_replica_of_several_fails_the_deploy(served: ClipperConnection, markers: Path) -> None:
    marker = str(markers / f"second-{served.cm.cluster_name}")

    def second_fails() -> None:
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            raise RuntimeError("only one of us") from None

    with pytest.raises(ModelLoadError, match="only one of us"):
        deploy_python_closure(served, "m", 2, "doubles", lambda xs: [0 for _ in xs], setup=second_fails, num_replicas=2)
    _check_nothing_changed(served)


@pytest.mark.same_on_docker
@pytest.mark.also_on_kubernetes
def test_registered_version_is_refused_before_the_build(served: ClipperConnection) -> None:
    with pytest.raises(ExistsError, match="versions are immutable"):
        deploy_python_closure(
            served, "m", 1, "doubles", lambda inputs: inputs, pkgs_to_install=["clipper-nb-no-such-package==0.0.1"]
        )
    _check_nothing_changed(served)


@pytest.mark.same_on_docker
def test_input_type_conflict_with_a_link_is_refused_before_build(
    served: ClipperConnection,
) -> None:
    with pytest.raises(InvalidRequestError, match="takes doubles; a version that takes strings"):
        deploy_python_closure(served, "m", 2, "strings", lambda inputs: inputs)
    _check_nothing_changed(served)


@pytest.mark.same_on_docker
@pytest.mark.also_on_kubernetes
def test_failed_endpoint_leaves_nothing_and_can_be_retried(served: ClipperConnection) -> None:
    with pytest.raises(ModelLoadError):
        create_endpoint(served, "again", "doubles", OnLoad(load_raises))
    assert served.get_all_apps() == ["m"]
    create_endpoint(served, "again", "doubles", lambda inputs: [1 for _ in inputs], slo_micros=5_000_000)
    assert query(served, "again", {"input": []})[1]["output"] == 1
    served.stop_models(["again"])
    served.unregister_application("again")
    _check_nothing_changed(served)


@pytest.mark.same_on_docker
@pytest.mark.not_on_kubernetes("replicas there see no folder of this machine")
def test_scaling_up_that_fails_keeps_the_replicas_there_are(served: ClipperConnection, markers: Path) -> None:
    marker = str(markers / f"first-{served.cm.cluster_name}")

    def only_first_is_set_up() -> None:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))

    deploy_python_closure(served, "scaled", 1, "doubles", lambda xs: [0 for _ in xs], setup=only_first_is_set_up)
    with pytest.raises(ModelLoadError, match="FileExistsError"):
        served.set_num_replicas("scaled", 3)
    assert served.get_num_replicas("scaled") == 1
    assert sum(replica.startswith("scaled:") for replica in served.get_all_model_replicas()) == 1
    served.stop_models(["scaled"])
    _check_nothing_changed(served)


@pytest.mark.filterwarnings("ignore:.*unclosed <socket")  # which was about to connect when the interrupt came
@pytest.mark.also_on_kubernetes
def test_an_interrupted_deploy_leaves_nothing(served: ClipperConnection) -> None:
    """The user presses stop while the cell waits."""
    timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        deploy_python_closure(served, "m", 2, "doubles", OnLoad(load_hangs))
    timer.join()
    eventually(  # an engine that was creating a container at that moment completes it, and the cluster removes it
        lambda: [container.model for container in served.cm.observe_replicas()] == ["m:1"],
        within_s=5.0, what="only the old version runs",
    )  # fmt: skip
    _check_nothing_changed(served)
