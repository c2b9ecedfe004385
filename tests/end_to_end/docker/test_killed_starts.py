"""A notebook is killed in start_clipper(): the next one starts or resumes the cluster at once, whatever was left."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from clipper_nb import ClipperConnection, ClusterNotFoundError, ClusterUnreachableError, ExistsError
from clipper_nb.container_managers.docker.resources import note_name
from clipper_nb.container_managers.process_identity import read_boot_id
from clipper_nb.protocol.environment import LABEL_STARTER
from tests.support.clusters import leftovers, new_manager, removed_afterwards, running_cluster
from tests.support.docker_clusters import containers_of, docker_client

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

_NOTEBOOK = textwrap.dedent(
    """
    import os, signal, sys
    import requests
    from clipper_nb import ClipperConnection
    from tests.support.clusters import new_manager

    name, method, path, place = sys.argv[1:]
    conn = ClipperConnection(new_manager("docker", name))
    send, seen = requests.Session.send, 0

    def send_or_die(self, request, **options):
        global seen
        seen += request.method == method and path in request.path_url
        if seen == int(place):
            os.kill(os.getpid(), signal.SIGKILL)
        return send(self, request, **options)

    requests.Session.send = send_or_die
    conn.start_clipper(query_token=False)
    """
)

_MOMENTS = [
    ("POST", "/volumes/create", 2),  # the name is not taken yet
    pytest.param(("POST", "/networks/create", 2), marks=pytest.mark.long),
    ("POST", "/containers/create", 1),
    ("PUT", "/archive", 1),
    pytest.param(("POST", "/start", 1), marks=pytest.mark.long),
    pytest.param(("POST", "/containers/create", 2), marks=pytest.mark.long),
    pytest.param(("POST", "/start", 2), marks=pytest.mark.long),
    ("POST", "/containers/create", 3),
    ("POST", "/connect", 2),
]
"""The request to the engine before which the notebook is killed; the one before a long one stands for it."""


def _kill_a_start(conn: ClipperConnection, moment: tuple[str, str, int]) -> None:
    method, path, place = moment
    command = [sys.executable, "-c", _NOTEBOOK, conn.cm.cluster_name, method, path, str(place)]
    assert subprocess.run(command, timeout=120, check=False).returncode == -signal.SIGKILL


def _date_back(conn: ClipperConnection) -> None:
    """Have the note of a start say that it is of the boot before this one, as after a power cut."""
    volumes, name = docker_client(conn).volumes, note_name(conn.cm.cluster_name)
    note = volumes.get(name)
    labels = note.attrs["Labels"]
    assert read_boot_id() in labels[LABEL_STARTER]
    note.remove()
    volumes.create(name, labels={**labels, LABEL_STARTER: labels[LABEL_STARTER].replace(read_boot_id(), "before")})


@pytest.mark.parametrize("moment", _MOMENTS, ids=lambda moment: f"{moment[1].rpartition('/')[2]}-{moment[2]}")
def test_killed_start_is_begun_again(moment: tuple[str, str, int]) -> None:
    with removed_afterwards(new_manager("docker")) as conn:
        _kill_a_start(conn, moment)
        assert leftovers(conn.cm)
        with pytest.raises((ClusterNotFoundError, ClusterUnreachableError), match=r"start_clipper\(\)|stop_all\(\)"):
            conn.connect()
        conn.start_clipper(query_token=False)
        assert conn.get_all_apps() == []
        assert not any("-starting" in name or "-settling" in name for name in leftovers(conn.cm))


def test_killed_start_can_be_removed() -> None:
    with removed_afterwards(new_manager("docker")) as conn:
        _kill_a_start(conn, ("POST", "/containers/create", 3))
        conn.stop_all()
        assert leftovers(conn.cm) == []


_WITH_FOLDER = [("POST", "/containers/create", 2), ("POST", "/start", 2)]
"""When the management frontend has its folder: without its container, and before that starts."""


@pytest.fixture
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this user's state, of this test alone; with a short path: sockets need that."""
    path = tmp_path_factory.mktemp("t")
    monkeypatch.setenv("XDG_STATE_HOME", str(path))
    return path / "clipper_nb"


@pytest.mark.parametrize("moment", _WITH_FOLDER, ids=["no-container", "container"])
def test_killed_start_leaves_no_folder_to_a_stop(state: Path, moment: tuple[str, str, int]) -> None:
    with removed_afterwards(new_manager("docker")) as conn:
        _kill_a_start(conn, moment)
        assert len(list(state.iterdir())) == 1
        conn.stop_all()
        assert list(state.iterdir()) == []


@pytest.mark.parametrize("is_kept", [False, True], ids=["new", "resumed"])
def test_killed_start_leaves_no_folder_to_the_next(state: Path, is_kept: bool) -> None:
    with removed_afterwards(new_manager("docker")) as conn:
        if is_kept:
            conn.start_clipper(query_token=False)
            conn.stop_all(keep=True)
        _kill_a_start(conn, _WITH_FOLDER[0])
        [folder] = state.iterdir()
        conn.start_clipper(query_token=False)
        assert not folder.exists()
        conn.stop_all()
        assert list(state.iterdir()) == []


@pytest.fixture(scope="module")
def kept_by_all() -> Iterator[tuple[ClipperConnection, str]]:
    """A kept cluster with one application, and its token. Each test leaves it so, and what the last left is resumed."""
    with running_cluster("docker") as conn:
        conn.register_application("app", "doubles", "-1.0", 5_000_000)
        token = conn.cm.get_admin_token()
        conn.stop_all(keep=True)
        yield conn, token
        conn.start_clipper()
        assert conn.get_all_apps() == ["app"]


@pytest.fixture
def kept(kept_by_all: tuple[ClipperConnection, str]) -> Iterator[tuple[ClipperConnection, str]]:
    yield kept_by_all
    kept_by_all[0].stop_all(keep=True)


@pytest.mark.parametrize("moment", [("POST", "/start", 2), ("DELETE", "/containers/", 1)], ids=["half", "whole"])
def test_killed_resumption_can_be_stopped_to_be_kept(
    moment: tuple[str, str, int], kept: tuple[ClipperConnection, str]
) -> None:
    conn, _ = kept
    _kill_a_start(conn, moment)
    conn.stop_all(keep=True)
    assert not any(container.status == "running" for container in conn.cm._containers.find())
    conn.start_clipper()
    assert conn.get_all_apps() == ["app"]


def test_start_that_was_killed_when_all_runs_is_complete() -> None:
    with removed_afterwards(new_manager("docker")) as conn:
        _kill_a_start(conn, ("DELETE", "-starting", 1))
        other = ClipperConnection(new_manager("docker", conn.cm.cluster_name))
        with pytest.raises(ExistsError, match=r"connect\(\)"):
            other.start_clipper()
        other.cm.docker_client.close()
        conn.connect()
        assert conn.get_all_apps() == []


@pytest.mark.parametrize(
    "moment",
    [
        ("POST", "/rename", 2),
        ("POST", "/containers/create", 1),
        ("POST", "/containers/create", 3),
        ("DELETE", "-starting", 1),
    ],
    ids=lambda moment: f"{moment[1].rpartition('/')[2]}-{moment[2]}",
)
def test_killed_resumption_is_begun_again(moment: tuple[str, str, int], kept: tuple[ClipperConnection, str]) -> None:
    """Or is complete: in any case the cluster has all that it had."""
    conn, token = kept
    _kill_a_start(conn, moment)
    try:
        conn.start_clipper()
    except ExistsError:
        conn.connect()
    assert (conn.get_all_apps(), conn.cm.get_admin_token()) == (["app"], token)
    assert [len(containers_of(conn, role)) for role in ("redis", "query_frontend", "management_frontend")] == [1] * 3


@pytest.mark.parametrize("moment", [("POST", "/rename", 2), ("POST", "/start", 2)], ids=["set-aside", "half"])
def test_power_cut_in_a_resumption_loses_nothing_kept(
    moment: tuple[str, str, int], kept: tuple[ClipperConnection, str]
) -> None:
    conn, _ = kept
    _kill_a_start(conn, moment)
    _date_back(conn)
    conn.start_clipper()
    assert conn.get_all_apps() == ["app"]
    assert not any("-starting" in name or "-settling" in name for name in leftovers(conn.cm))


def test_caller_that_was_killed_while_it_settles_is_followed(kept: tuple[ClipperConnection, str]) -> None:
    conn, _ = kept
    for moment in (("POST", "/start", 2), ("DELETE", "/containers/", 1), ("POST", "/rename", 1)):
        _kill_a_start(conn, moment)
    conn.start_clipper()
    assert conn.get_all_apps() == ["app"]
    assert not any("-starting" in name or "-settling" in name for name in leftovers(conn.cm))
