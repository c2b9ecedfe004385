"""The contract of container managers, as tests for pytest: subclass :class:`ContainerManagerContract`."""

from __future__ import annotations

import pickle
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from clipper_nb.clients.frontend_client import FrontendClient
from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.deployers.bundle import bundle
from clipper_nb.errors import ClusterNotFoundError, ExistsError, ImageNotFoundError
from clipper_nb.images.builder import ImageRequest
from clipper_nb.protocol.model_folder import FUNCTION_FILE, PythonMetadata
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.rest import AddModel

__all__ = ["ContainerManagerContract"]

_TIMEOUT_S = 30.0

Scale = Callable[[str, int], list[str]]


class ContainerManagerContract:
    """Tests of a container manager by itself, used as :class:`ClipperConnection` uses it.

    Subclass it in a test module, under a name that pytest collects, and define how a manager is created.

    Examples
    --------
    >>> from clipper_nb.testing import ContainerManagerContract
    >>> class TestMyContainerManager(ContainerManagerContract):
    ...     def make_manager(self, cluster_name):
    ...         return MyContainerManager(cluster_name)
    """

    def make_manager(self, cluster_name: str) -> ContainerManager:
        """Return a manager of the cluster of that name, neither started nor connected; two of one name see the same."""
        raise NotImplementedError

    def make_image(self, manager: ContainerManager, model_id: ModelId, folder: Path) -> str:
        """Build the image of the model in *folder* and return its tag."""
        return manager.make_image_builder().build(ImageRequest(manager.cluster_name, model_id, str(folder)))

    def remove(self, manager: ContainerManager) -> None:
        """Remove what outlives a stopped cluster, such as images; nothing by default."""

    @pytest.fixture
    def manager(self) -> Iterator[ContainerManager]:
        """A manager whose cluster does not run."""
        manager = self.make_manager(f"contract-{uuid.uuid4().hex[:8]}")
        try:
            yield manager
        finally:
            manager.stop_all()
            self.remove(manager)

    @pytest.fixture
    def running(self, manager: ContainerManager) -> ContainerManager:
        """A manager whose cluster runs."""
        manager.start_clipper(ClusterOptions())
        return manager

    @pytest.fixture
    def scale(self, running: ContainerManager) -> Scale:
        """``scale(version, num_replicas)`` of a model; returns the names of its replicas when they are connected."""
        images: dict[str, str] = {}

        def scale(version: str, num_replicas: int) -> list[str]:
            model_id = ModelId("echo", version)
            if version not in images:
                with bundle(PythonMetadata(input_type="strings")) as folder:
                    (folder / FUNCTION_FILE).write_bytes(pickle.dumps(list))
                    images[version] = self.make_image(running, model_id, folder)
                    _register(running, model_id, images[version])
            _set_desired(running, model_id, num_replicas)
            _set_num_replicas(running, model_id, images[version], num_replicas)
            _wait_for_connected(running, model_id, num_replicas)
            return _names(running, model_id)

        return scale

    def test_a_cluster_that_never_ran_is_not_found_and_can_be_stopped(self, manager: ContainerManager) -> None:
        with pytest.raises(ClusterNotFoundError):
            manager.connect()
        manager.stop_all()

    def test_a_started_cluster_answers_takes_its_token_and_has_its_name_alone(self, running: ContainerManager) -> None:
        for manager in (running, self.make_manager(running.cluster_name)):
            with pytest.raises(ExistsError):
                manager.start_clipper(ClusterOptions())
        assert _answers(running.get_query_addr())
        assert _answers(running.get_admin_addr())
        assert _num_connected(running) == 0  # or the management frontend would refuse the token
        assert running.observe_replicas() == []
        assert running.get_query_addr().endswith(f":{running.clipper_query_port}")
        assert running.get_admin_addr().endswith(f":{running.clipper_management_port}")

    def test_another_manager_finds_the_cluster_and_ends_it_for_good(
        self, running: ContainerManager, scale: Scale
    ) -> None:
        names = scale("1", 1)
        other = self.make_manager(running.cluster_name)
        other.connect()
        assert _ports(other) == _ports(running)  # of several nodes each may have found another one first
        assert other.get_admin_token() == running.get_admin_token()
        assert other.clipper_rpc_port == running.clipper_rpc_port
        assert _names(other) == names
        other.stop_all(graceful=False)
        other.stop_all()
        running.stop_all()
        with pytest.raises(ClusterNotFoundError):
            other.connect()
        running.start_clipper(ClusterOptions())
        assert running.observe_replicas() == []
        assert _num_connected(running) == 0

    def test_replicas_become_as_many_as_asked(self, scale: Scale) -> None:
        first = scale("1", 1)
        three = scale("1", 3)
        assert len(set(three)) == 3
        assert three[:1] == first  # it stays, and the oldest comes first
        assert scale("1", 3) == three
        assert scale("1", 1) == first  # those started last go
        assert scale("1", 0) == scale("1", 0) == []
        assert scale("1", 1) not in ([], first)

    def test_versions_are_observed_and_stopped_by_name(self, running: ContainerManager, scale: Scale) -> None:
        first, others = scale("1", 1), scale("2.0_rc1", 2)
        seen = [(c.name, c.role, c.model, c.is_running, c.num_exits) for c in running.observe_replicas()]
        assert seen == [
            (first[0], "replica", "echo:1", True, 0),
            *((name, "replica", "echo:2.0_rc1", True, 0) for name in others),
        ]
        assert running.observe_replicas(ModelId("echo", "2")) == []
        assert running.get_num_replicas(ModelId("echo", "2.0_rc1")) == 2
        running.stop_models({"echo": ["2.0_rc1", "9"], "nobody": ["1"]})
        assert _names(running) == first
        running.stop_all_model_containers()
        running.stop_all_model_containers()
        assert running.observe_replicas() == []
        assert _answers(running.get_query_addr())

    def test_an_unknown_image_is_refused_before_anything_is_changed(
        self, running: ContainerManager, scale: Scale
    ) -> None:
        names = scale("1", 1)
        with pytest.raises(ImageNotFoundError):
            _set_num_replicas(running, ModelId("echo", "1"), "contract-nowhere:1", 2)
        assert _names(running) == names

    def test_logs_are_read_and_copied(self, running: ContainerManager, scale: Scale, tmp_path: Path) -> None:
        [name] = scale("1", 1)
        last_line = running.get_log_tail(name, max_lines=1)
        assert last_line
        assert running.get_log_tail(name).splitlines()[-1] == last_line
        assert running.get_log_tail("contract-nobody") == ""
        paths = [Path(path) for path in running.get_logs(str(tmp_path / "made" / "logs"))]
        assert len(paths) == len(set(paths)) >= 3  # both frontends and the replica
        assert {path.parent for path in paths} == {tmp_path / "made" / "logs"}
        assert any(last_line in path.read_text() for path in paths)


def _set_num_replicas(manager: ContainerManager, model_id: ModelId, image: str, num_replicas: int) -> None:
    manager.set_num_replicas(
        model_id, input_type="strings", image=image, num_replicas=num_replicas, load_timeout_s=_TIMEOUT_S
    )


def _register(manager: ContainerManager, model_id: ModelId, image: str) -> None:
    """Register a version: the cluster itself may stop replicas of an unregistered one."""
    with _management_client(manager) as client:
        client.register_model(AddModel(*model_id, "strings", container_name=image))


def _set_desired(manager: ContainerManager, model_id: ModelId, num_replicas: int) -> None:
    with _management_client(manager) as client:
        client.set_num_replicas(model_id, num_replicas)


def _answers(address: str) -> bool:
    with closing(FrontendClient.at(address, "frontend")) as frontend:
        return bool(frontend.live(timeout_s=_TIMEOUT_S))


def _ports(manager: ContainerManager) -> list[str]:
    return [address.rpartition(":")[2] for address in (manager.get_query_addr(), manager.get_admin_addr())]


def _names(manager: ContainerManager, model_id: ModelId | None = None) -> list[str]:
    return [container.name for container in manager.observe_replicas(model_id)]


def _num_connected(manager: ContainerManager, model_id: ModelId | None = None) -> int:
    with _management_client(manager) as client:
        return sum(model_id is None or replica.model_id == model_id for replica in client.get_replicas())


@contextmanager
def _management_client(manager: ContainerManager) -> Iterator[ManagementClient]:
    client = ManagementClient.at(manager.get_admin_addr(), manager.get_admin_token())
    try:
        yield client
    finally:
        client.close()


def _wait_for_connected(manager: ContainerManager, model_id: ModelId, num_replicas: int) -> None:
    deadline_s = time.monotonic() + _TIMEOUT_S
    while (found := _num_connected(manager, model_id)) != num_replicas:
        assert time.monotonic() < deadline_s, f"{found} of {num_replicas} replicas are connected after {_TIMEOUT_S:g} s"
        time.sleep(0.05)
