"""What a container manager gets from :class:`ReplicaScaling` for its four primitives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from clipper_nb.container_managers.replica_scaling import ReplicaScaling, ReplicaSettings
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.display.progress import QUIET, Progress
from clipper_nb.errors import ImageNotFoundError, InvalidRequestError
from clipper_nb.images.builder import ImageBuilder
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import REPLICA, ContainerSpec, ObservedContainer
from clipper_nb.protocol.input_types import InputType
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.resource_limits import ResourceLimits

ONE, TWO = ModelId("m", "1"), ModelId("m", "2")


class NoCluster(ReplicaScaling):
    """What is around the replicas, which nothing here asks for."""

    cluster_name = "thin"

    def start_clipper(self, options: ClusterOptions, progress: Progress = QUIET) -> None:
        raise NotImplementedError

    def connect(self) -> None:
        raise NotImplementedError

    def get_query_addr(self) -> str:
        raise NotImplementedError

    def get_admin_addr(self) -> str:
        raise NotImplementedError

    def get_admin_token(self) -> str:
        raise NotImplementedError

    def make_image_builder(self) -> ImageBuilder:
        raise NotImplementedError

    def get_log_tail(self, container_name: str, *, max_lines: int = 40) -> str:
        raise NotImplementedError

    def stop_all(self, *, graceful: bool = True) -> None:
        raise NotImplementedError


class ThinManager(NoCluster):
    """A container manager that keeps its replicas in a list."""

    def __init__(self) -> None:
        self.replicas: list[ObservedContainer] = []
        self.started: list[ContainerSpec] = []
        self.calls: list[str] = []

    def _require_image(self, image: str, limits: ResourceLimits, progress: Progress) -> ReplicaSettings:
        if image == "nowhere:1":
            raise ImageNotFoundError(image, "It is nowhere.")
        return ReplicaSettings(
            rpc_host="frontend", rpc_port=7000, command=("run",), model_folder="/m", limits=limits,
            offline_socket="/rpc/0.sock" if image == "ours:1" else None,
        )  # fmt: skip

    def _start_replicas(self, replicas: Sequence[ContainerSpec], settings: ReplicaSettings) -> None:
        self.calls.append(f"start {len(replicas)} {settings.limits.processes}")
        self.started += replicas
        for spec in replicas:
            self.replicas.append(ObservedContainer(spec.name, spec.role, spec.model, True, image=spec.image))

    def _stop_replicas(self, names: Sequence[str]) -> None:
        if names:
            self.calls.append(f"stop {len(names)}")
        self.replicas = [replica for replica in self.replicas if replica.name not in names]

    def observe_replicas(self, model_id: ModelId | None = None) -> list[ObservedContainer]:
        return [replica for replica in self.replicas if model_id is None or replica.model == str(model_id)]

    def _write_logs(self, folder: Path) -> list[str]:
        (folder / "m.log").write_text("seen\n")
        return [str(folder / "m.log")]


def scale(manager: ThinManager, num_replicas: int, model_id: ModelId = ONE, image: str = "i:1", **more: object) -> None:
    wanted = {"input_type": InputType.INTEGERS, "load_timeout_s": 60, **more}
    manager.set_num_replicas(model_id, image=image, num_replicas=num_replicas, **wanted)


def test_replica_runs_the_found_image_under_a_unique_name():
    manager = ThinManager()
    scale(manager, 3)
    assert len({spec.name for spec in manager.started}) == 3
    for spec in manager.started:
        assert re.fullmatch(r"m_1-[0-9a-f]{6}", spec.name)
        assert (spec.role, spec.model, spec.image, spec.command) == (REPLICA, "m:1", "i:1", ("run",))
        assert spec.environment[environment.FRONTEND_HOST] == "frontend"
        assert spec.environment[environment.MODEL_PATH] == spec.working_folder == "/m"


@pytest.mark.parametrize("input_type", [InputType.INTEGERS, "integers", "ints", " INT "])
def test_replica_gets_its_input_type_in_one_spelling(input_type):
    manager = ThinManager()
    scale(manager, 1, input_type=input_type)
    told = manager.started[0].environment[environment.INPUT_TYPE]
    assert (told, type(told)) == ("integers", str)


def test_unknown_input_type_changes_nothing():
    manager = ThinManager()
    with pytest.raises(InvalidRequestError, match="'doubels' is not an input type"):
        scale(manager, 1, input_type="doubels")
    assert manager.calls == []


def test_only_the_difference_is_started_or_stopped():
    manager = ThinManager()
    for num_replicas in (1, 3, 3, 1, 0, 0):
        scale(manager, num_replicas)
        assert manager.get_num_replicas(ONE) == num_replicas
    assert manager.calls == ["start 1 None", "start 2 None", "stop 2", "stop 1"]


def test_replicas_of_an_old_image_stop_after_new_ones_start():
    manager = ThinManager()
    scale(manager, 2)
    scale(manager, 1, image="i:2")
    assert manager.calls == ["start 2 None", "start 1 None", "stop 2"]


def test_replicas_start_with_the_requested_limits():
    manager = ThinManager()
    scale(manager, 1, limits=ResourceLimits(processes=7))
    assert manager.calls == ["start 1 7"]


def test_replicas_without_a_network_get_the_path_of_a_socket():
    manager = ThinManager()
    scale(manager, 1, image="ours:1")
    assert manager.started[0].environment[environment.FRONTEND_SOCKET] == "/rpc/0.sock"
    assert environment.FRONTEND_HOST not in manager.started[0].environment
    scale(manager, 2, image="ours:1", network_access=True)
    assert manager.started[1].environment[environment.FRONTEND_HOST] == "frontend"


def test_replicas_that_need_a_network_do_not_start_without_one():
    manager = ThinManager()
    with pytest.raises(InvalidRequestError, match="i:1 cannot run without a network"):
        scale(manager, 1, network_access=False)
    assert manager.calls == []
    scale(manager, 1)
    assert manager.started[0].environment[environment.FRONTEND_HOST] == "frontend"


def test_unknown_image_changes_nothing_and_is_not_needed_to_stop():
    manager = ThinManager()
    scale(manager, 1)
    with pytest.raises(ImageNotFoundError):
        scale(manager, 2, image="nowhere:1")
    assert manager.get_num_replicas(ONE) == 1
    scale(manager, 0, image="nowhere:1")
    assert manager.observe_replicas() == []


def test_versions_are_stopped_by_name():
    manager = ThinManager()
    scale(manager, 2)
    scale(manager, 1, TWO)
    manager.stop_models({"m": ["1", "9"], "nobody": ["1"]})
    assert [replica.model for replica in manager.observe_replicas()] == ["m:2"]
    manager.stop_all_model_containers()
    assert manager.observe_replicas() == []


def test_replica_that_keeps_ending_goes_first():
    manager = ThinManager()
    scale(manager, 2)
    first, second = manager.replicas
    manager.replicas = [replace(first, num_exits=4), second]
    scale(manager, 1)
    assert manager.replicas == [second]


def test_logs_are_written_into_a_folder_that_is_made(tmp_path):
    paths = ThinManager().get_logs(str(tmp_path / "made" / "logs"))
    assert [Path(path).read_text() for path in paths] == ["seen\n"]


def test_folder_that_cannot_be_created_is_named_in_the_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidRequestError, match=r"The logs cannot be written to .*file/logs: Not a directory\."):
        ThinManager().get_logs(str(tmp_path / "file" / "logs"))
