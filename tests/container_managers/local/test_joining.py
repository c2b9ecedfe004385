"""Whether the cluster of a folder goes on, as its supervisor and its record say it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.joining import check_it_goes_on, is_running
from clipper_nb.container_managers.local.supervisor.control import ClusterEndingError, SupervisorClient, listen
from clipper_nb.errors import ClusterNotFoundError
from clipper_nb.protocol.containers import Command


@pytest.fixture
def folder(tmp_path: Path) -> ClusterFolder:
    folder = ClusterFolder(tmp_path / "c")
    folder.create()
    return folder


def beside_a_supervisor(folder: ClusterFolder, use: Callable[[SupervisorClient], object], *, is_ending: bool) -> None:
    async def carry_out(_command: Command) -> tuple[()]:
        if is_ending:
            raise ClusterEndingError
        return ()

    async def run() -> None:
        server = await listen(folder.control_socket_path, carry_out)
        try:
            await asyncio.to_thread(use, SupervisorClient(folder.control_socket_path))
        finally:
            server.close()

    asyncio.run(run())


def test_cluster_whose_supervisor_answers_goes_on(folder: ClusterFolder) -> None:
    def use(supervisor: SupervisorClient) -> None:
        assert is_running(supervisor)
        check_it_goes_on(supervisor, folder, "c")

    beside_a_supervisor(folder, use, is_ending=False)


def test_cluster_that_is_ending_says_so(folder: ClusterFolder) -> None:
    def use(supervisor: SupervisorClient) -> None:
        assert not is_running(supervisor)
        with pytest.raises(ClusterNotFoundError, match=r"The cluster 'c' is ending: .* in a few seconds"):
            check_it_goes_on(supervisor, folder, "c")

    beside_a_supervisor(folder, use, is_ending=True)


def test_cluster_without_a_supervisor_does_not_run(folder: ClusterFolder) -> None:
    supervisor = SupervisorClient(folder.control_socket_path)
    assert not is_running(supervisor)
    with pytest.raises(ClusterNotFoundError, match="No cluster with name 'c' runs here"):
        check_it_goes_on(supervisor, folder, "c")
