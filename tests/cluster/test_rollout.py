"""How versions come and go, in which order, and what is left when something fails; no process is started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from clipper_nb.cluster.new_version import NewVersion
from clipper_nb.cluster.rollout import scale, start_and_register, unregister_and_stop
from clipper_nb.cluster.version_claim import VersionClaim
from clipper_nb.errors import (
    ClaimLostError,
    ClusterUnreachableError,
    ImageNotFoundError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
    ReplicaStartError,
    StartTimeoutError,
)
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.records import CONTAINERLESS_IMAGE
from clipper_nb.testing import RecordingContainerManager
from tests.support.management_frontend import ManagementFrontend, client_of, refusal, replicas_of, version

NET = ModelId("net", "2")
IMAGE = "net:2-image"


class Manager(RecordingContainerManager):
    """Does something right after it has scaled a version for the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.then: Callable[[], None] | None = None

    def set_num_replicas(self, model_id: ModelId, **wanted: Any) -> None:
        super().set_num_replicas(model_id, **wanted)
        then, self.then = self.then, None
        if then is not None:
            then()


class Bench:
    """A manager and a management frontend, and the deploys and scales of one version on them.

    Both record their calls in one list, so that their order is seen.
    """

    def __init__(self, *, num_replicas: int = 0, is_registered: bool = False, connects: bool = True) -> None:
        self.manager = Manager()
        known = [version("net", "2", container_name=IMAGE)] if is_registered else []
        self.frontend = ManagementFrontend(versions=known, replicas=replicas_of(self.manager) if connects else list)
        self.removed_images: list[str] = []
        if num_replicas:
            self.manager.set_num_replicas(
                NET, input_type="doubles", image=IMAGE, num_replicas=num_replicas, load_timeout_s=1.0
            )
        self.manager.calls.clear()
        self.frontend.calls = self.manager.calls

    @property
    def changes(self) -> list[str]:
        """What was changed, in order: requests by their path, calls of the manager with what they are about."""
        lines = [call[0] if call[0].startswith("/") else " ".join(map(str, call)) for call in self.manager.calls]
        return [line for line in lines if not line.startswith(("/admin/get_", "/admin/hold_"))]

    def deploy(
        self,
        num_replicas: int = 2,
        timeout_s: float = 20.0,
        build_image: Callable[[], str] | None = None,
        meanwhile: Callable[[str], None] | None = None,
    ) -> None:
        management = client_of(self.frontend)
        with VersionClaim(management, NET, is_new=True) as claim:
            new = NewVersion(
                NET, InputType.DOUBLES, IMAGE, labels=["x"], num_replicas=num_replicas, timeout_s=timeout_s
            )
            start_and_register(
                self.manager, management, claim, new, read_files=lambda names: {}, build_image=build_image,
                remove_image=lambda: self.removed_images.append(IMAGE), meanwhile=meanwhile,
            )  # fmt: skip

    def scale(self, num_replicas: int, timeout_s: float = 20.0) -> None:
        scale(self.manager, client_of(self.frontend), NET, num_replicas, timeout_s=timeout_s)

    @property
    def num_running(self) -> int:
        return self.manager.get_num_replicas(NET)


def interrupt() -> None:
    raise KeyboardInterrupt


def test_version_is_registered_when_its_replicas_are_connected() -> None:
    bench = Bench()
    bench.deploy(num_replicas=2)
    assert bench.num_running == 2
    assert bench.changes == ["/admin/claim_version", "set_num_replicas net:2 2", "/admin/add_model"]
    [request] = bench.frontend.requests("add_model")
    [claim] = bench.frontend.requests("claim_version")
    assert (request["model_name"], request["model_version"], request["container_name"]) == ("net", "2", IMAGE)
    assert (request["num_replicas"], request["labels"], request["claim_id"]) == (2, ["x"], claim["claim_id"])
    assert claim["is_new"]
    assert bench.removed_images == []


def test_leftovers_of_a_killed_deploy_are_stopped_first() -> None:
    bench = Bench(num_replicas=3)
    before = {found.name for found in bench.manager.replicas}
    bench.deploy(num_replicas=1)
    assert bench.num_running == 1
    assert not before & {found.name for found in bench.manager.replicas}


def test_replicas_that_never_connect_leave_nothing() -> None:
    bench = Bench(connects=False)
    with pytest.raises(StartTimeoutError, match="0 of 2"):
        bench.deploy(timeout_s=0.0)
    assert bench.changes[-3:] == ["set_num_replicas net:2 2", "stop_models net:2", "/admin/release_claim"]
    assert (bench.num_running, bench.removed_images) == (0, [IMAGE])


def test_interrupt_of_a_build_leaves_no_image() -> None:
    bench = Bench()

    def build() -> str:  # the image is there, and its tag is not known yet
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench.deploy(build_image=build)
    assert (bench.num_running, bench.removed_images) == (0, [IMAGE])
    assert bench.changes[-1] == "/admin/release_claim"


def test_image_that_was_built_is_what_runs() -> None:
    bench = Bench()
    bench.deploy(build_image=lambda: "net:2-built")
    assert {found.image for found in bench.manager.replicas} == {"net:2-built"}
    [request] = bench.frontend.requests("add_model")
    assert request["container_name"] == "net:2-built"


def test_replica_that_ends_says_why_and_is_stopped() -> None:
    bench = Bench()

    def end_one() -> None:
        first, *others = bench.manager.replicas
        bench.manager.replicas = [replace(first, num_exits=1, exit_status=3), *others]
        bench.manager.logs[first.name] = "no such file: weights.bin"

    bench.manager.then = end_one
    with pytest.raises(ReplicaStartError, match="ended with exit status 3") as caught:
        bench.deploy()
    assert "weights.bin" in caught.value.log_tail
    assert (bench.num_running, bench.removed_images) == (0, [IMAGE])


def test_image_that_is_gone_leaves_nothing() -> None:
    bench = Bench()
    bench.manager.errors["set_num_replicas"] = ImageNotFoundError(IMAGE, "Build it again.")
    with pytest.raises(ImageNotFoundError):
        bench.deploy()
    assert bench.num_running == 0
    assert "/admin/add_model" not in bench.changes


def test_interrupted_deploy_leaves_nothing() -> None:
    bench = Bench()
    bench.manager.then = interrupt
    with pytest.raises(KeyboardInterrupt):
        bench.deploy()
    assert (bench.num_running, bench.removed_images) == (0, [IMAGE])
    assert bench.changes[-1] == "/admin/release_claim"


def test_refused_registration_is_undone_and_stopped() -> None:
    bench = Bench()
    bench.frontend.answers["add_model"] = refusal(400, "The input types differ.")
    with pytest.raises(InvalidRequestError, match="input types differ"):
        bench.deploy()
    first, again = bench.frontend.requests("claim_version")
    assert again["replaces"] == first["claim_id"]
    assert (bench.num_running, bench.removed_images) == (0, [IMAGE])


def test_version_that_may_be_registered_is_left_to_the_cluster() -> None:
    """The reply to the last step is lost, and it cannot be found out whether it was made."""
    bench = Bench()
    claims = iter(["Success", ClusterUnreachableError("It is away.")])
    bench.frontend.answers["claim_version"] = lambda request: next(claims)
    bench.frontend.answers["add_model"] = ClusterUnreachableError("It is away.")
    with pytest.raises(ClusterUnreachableError, match="Whether the change was made is not known"):
        bench.deploy()
    assert (bench.num_running, bench.removed_images) == (2, [])


def test_version_that_another_caller_stopped_is_not_registered() -> None:
    bench = Bench()
    bench.frontend.answers["hold_claim"] = lambda request: {"is_held": False}
    bench.manager.then = bench.manager.replicas.clear  # so that it waits
    with pytest.raises(ClaimLostError, match="stopped by another caller"):
        bench.deploy()
    assert "/admin/add_model" not in bench.changes


def test_notebooks_part_is_done_while_replicas_start() -> None:
    bench = Bench()
    bench.deploy(meanwhile=lambda image: bench.manager.calls.append(("meanwhile", image, bench.num_running)))
    assert bench.changes == [
        "/admin/claim_version",
        "set_num_replicas net:2 2",
        f"meanwhile {IMAGE} 2",
        "/admin/add_model",
    ]


def test_interrupt_of_the_notebooks_part_leaves_nothing() -> None:
    bench = Bench()
    with pytest.raises(KeyboardInterrupt):
        bench.deploy(meanwhile=lambda image: interrupt())
    assert (bench.num_running, bench.removed_images) == (0, [IMAGE])


def test_version_of_another_caller_is_not_touched() -> None:
    bench = Bench()
    bench.frontend.answers["claim_version"] = refusal(423, "net:2 is deployed by process 7.")
    with pytest.raises(Exception, match="process 7"):
        bench.deploy()
    assert bench.changes == ["/admin/claim_version"]


def test_scale_up_is_recorded_when_the_new_ones_are_connected() -> None:
    bench = Bench(num_replicas=1, is_registered=True)
    bench.scale(3)
    assert bench.num_running == 3
    assert bench.changes == [
        "/admin/claim_version", "set_num_replicas net:2 3", "/admin/set_num_replicas", "/admin/release_claim",
    ]  # fmt: skip
    [request] = bench.frontend.requests("set_num_replicas")
    assert request["num_replicas"] == 3


def test_scale_down_is_recorded_before_any_is_stopped() -> None:
    bench = Bench(num_replicas=3, is_registered=True)
    bench.scale(1)
    assert bench.num_running == 1
    assert bench.changes == [
        "/admin/claim_version", "/admin/set_num_replicas", "set_num_replicas net:2 1", "/admin/release_claim",
    ]  # fmt: skip


def test_scale_up_that_fails_keeps_those_that_served() -> None:
    bench = Bench(num_replicas=1, is_registered=True, connects=False)
    before = [found.name for found in bench.manager.replicas]
    with pytest.raises(StartTimeoutError):
        bench.scale(4, timeout_s=0.0)
    assert [found.name for found in bench.manager.replicas] == before
    assert bench.frontend.requests("set_num_replicas") == []


def test_scale_that_fails_starts_none_of_a_version_that_is_gone() -> None:
    bench = Bench(num_replicas=2, is_registered=True)

    def end_all() -> None:
        bench.manager.replicas.clear()
        interrupt()

    bench.manager.then = end_all
    with pytest.raises(KeyboardInterrupt):
        bench.scale(3)
    assert bench.num_running == 0


def test_version_without_image_or_record_is_not_scaled() -> None:
    with pytest.raises(ModelNotFoundError, match="'net' and version '2'"):
        Bench().scale(1)
    bench = Bench(is_registered=True)
    bench.frontend.answers["get_model"] = version("net", "2", container_name=CONTAINERLESS_IMAGE)
    with pytest.raises(InvalidRequestError, match="containerless model"):
        bench.scale(1)
    assert bench.changes == []


def test_versions_are_unregistered_before_their_replicas_stop() -> None:
    bench = Bench(num_replicas=1, is_registered=True)
    other = ModelId("net", "9")
    unregister_and_stop(bench.manager, client_of(bench.frontend), [NET, other], registered=[NET])
    assert bench.changes == ["/admin/delete_versioned_model", "stop_models net:2 net:9"]
    assert bench.num_running == 0


def test_version_that_another_caller_unregistered_is_stopped() -> None:
    bench = Bench(num_replicas=1, is_registered=True)
    bench.frontend.answers["delete_versioned_model"] = refusal(404, "No model with name 'net' and version '2' exists.")
    unregister_and_stop(bench.manager, client_of(bench.frontend), [NET], registered=[NET])
    assert bench.num_running == 0
    bench.frontend.answers["delete_versioned_model"] = refusal(503, "Redis does not answer.")
    with pytest.raises(Exception, match="Redis does not answer") as caught:
        unregister_and_stop(bench.manager, client_of(bench.frontend), [NET], registered=[NET])
    assert not isinstance(caught.value, NotFoundError)
