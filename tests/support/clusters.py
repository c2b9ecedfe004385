"""Clusters for tests, processes or containers: each with a name of its own, and proof that nothing of it stays."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from clipper_nb import ClipperConnection, DockerContainerManager, KubernetesContainerManager, LocalContainerManager
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.protocol.containers import ObservedContainer
from clipper_nb.protocol.environment import CLUSTER_FOLDER, LABEL_CLUSTER

MANAGERS: dict[str, Callable[..., ContainerManager]] = {
    "local": LocalContainerManager,
    "docker": DockerContainerManager,
}
"""By kind; the tests on Kubernetes add theirs."""

Process = int | str
"""What runs in a role: a process by its id, or a pod by its uid."""


def new_cluster_name() -> str:
    """Return a name that no other test uses."""
    return f"test-{uuid.uuid4().hex[:8]}"


def new_manager(kind: str, cluster_name: str | None = None, **options: Any) -> ContainerManager:
    """Return a manager whose cluster does not run yet, by default of a new name, on free ports."""
    ports = {"clipper_query_port": 0, "clipper_management_port": 0, "clipper_rpc_port": 0}
    return MANAGERS[kind](cluster_name or new_cluster_name(), **{**ports, **options})


def new_local_manager(cluster_name: str | None = None, **options: Any) -> LocalContainerManager:
    """Return a manager of an embedded cluster that does not run yet, as ``new_manager("local")``."""
    manager = new_manager("local", cluster_name, **options)
    assert isinstance(manager, LocalContainerManager)
    return manager


def kind_of(manager: ContainerManager) -> str:
    """Return the kind for which ``new_manager`` makes such a manager."""
    kinds = {DockerContainerManager: "docker", KubernetesContainerManager: "kubernetes"}
    return kinds.get(type(manager), "local")


def connection_beside(conn: ClipperConnection) -> ClipperConnection:
    """Return a connection to the same cluster, made anew as by another notebook; it is not connected yet."""
    return ClipperConnection(new_manager(kind_of(conn.cm), conn.cm.cluster_name))


def port_of(address: str) -> str:
    """Return the port of an address or a URL: a Kubernetes has it at each node, and a connection is at any of them."""
    return address.rpartition(":")[2]


def source_of(manager: ContainerManager) -> str:
    """Return the expression by which another program makes a manager of the same cluster."""
    if isinstance(manager, KubernetesContainerManager):
        return str(kubernetes_managers().source_of(manager))
    return f"{type(manager).__name__}({manager.cluster_name!r})"


@contextlib.contextmanager
def running_cluster(
    kind: str = "local", *, manager: ContainerManager | None = None, **start_options: Any
) -> Iterator[ClipperConnection]:
    """Give a connection to a fresh cluster, and see afterwards that nothing of it is left.

    It asks for no token unless *start_options* say so, whoever else uses this machine.
    """
    with removed_afterwards(manager or new_manager(kind)) as conn:
        conn.start_clipper(**{"query_token": False, **start_options})
        yield conn


@contextlib.contextmanager
def removed_afterwards(manager: ContainerManager) -> Iterator[ClipperConnection]:
    """Give a connection that may start a cluster, and see afterwards that nothing of the cluster is left."""
    conn = ClipperConnection(manager)
    try:
        yield conn
    finally:
        images = _images(manager)
        admin_folder = manager._admin_folder if isinstance(manager, DockerContainerManager) else None
        try:
            conn.stop_all()
            assert leftovers(manager) == []
            assert admin_folder is None or not admin_folder.path.exists()
            assert _images(manager) == images  # they are the user's, who may start another cluster from them
        finally:
            release(manager)


def release(manager: ContainerManager) -> None:
    """Remove the images of a cluster that does not run any more, and close the connections to the engine."""
    if isinstance(manager, DockerContainerManager):
        manager.remove_images()
        assert _images(manager) == []
        disconnect(manager)
    elif isinstance(manager, KubernetesContainerManager):
        kubernetes_managers().remove_images(manager)


def kubernetes_managers() -> Any:
    """Return the functions for clusters there, which need a package that not every environment has."""
    from tests.support import kubernetes_managers

    return kubernetes_managers


def disconnect(manager: ContainerManager) -> None:
    """Close what a manager has open, and leave its cluster alone."""
    if isinstance(manager, DockerContainerManager):
        manager._end_watch()
        manager.docker_client.close()
        manager._engine.stream_client.close()


def leftovers(manager: ContainerManager) -> list[str]:
    """Return what is left of a cluster, without its images: nothing when it was stopped."""
    if isinstance(manager, DockerContainerManager):
        return _labelled_things(manager)
    if isinstance(manager, KubernetesContainerManager):
        return list(kubernetes_managers().objects_of(manager))
    assert isinstance(manager, LocalContainerManager)
    return _processes_and_folder(manager)


def _labelled_things(manager: DockerContainerManager) -> list[str]:
    """Return the names of the cluster's containers, networks and volumes."""
    client = manager.docker_client
    wanted = {"label": f"{LABEL_CLUSTER}={manager.cluster_name}"}
    found = [
        *client.containers.list(all=True, ignore_removed=True, filters=wanted),
        *client.networks.list(filters=wanted),
        *client.volumes.list(filters=wanted),
    ]
    return [thing.name for thing in found]


def _processes_and_folder(manager: LocalContainerManager) -> list[str]:
    """Return the command lines of the cluster's processes, and its folder."""
    folder = manager._folder.path
    found = [str(folder)] if folder.exists() else []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(CLUSTER_FOLDER) == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
    return found


def _images(manager: ContainerManager) -> list[str]:
    """Return the tags of the cluster's model versions; images of the embedded cluster lie in its folder."""
    if isinstance(manager, KubernetesContainerManager):
        return list(kubernetes_managers().image_tags(manager))
    if not isinstance(manager, DockerContainerManager):
        return []
    return [tag for image in manager.get_images() if image.cluster for tag in image.tags]


def observe(conn: ClipperConnection, role: str | None = None) -> list[ObservedContainer]:
    """Return the containers of the cluster in *role*, or all of them, as its manager sees them."""
    manager = conn.cm
    if isinstance(manager, DockerContainerManager):
        containers = manager._containers.observe()
    elif isinstance(manager, KubernetesContainerManager):
        containers = kubernetes_managers().observe(manager)
    else:
        assert isinstance(manager, LocalContainerManager)
        containers = manager._observe()
    return [container for container in containers if role in (None, container.role)]


def pid_of(conn: ClipperConnection, role: str) -> int:
    """Return the process that runs now in *role*; of a container its first one, as this machine numbers it."""
    return next(container.pid for container in observe(conn, role) if container.pid)


def processes_of(conn: ClipperConnection, role: str) -> list[Process]:
    """Return what runs now in *role*, oldest first; others once they have been started again."""
    if isinstance(conn.cm, KubernetesContainerManager):
        return list(kubernetes_managers().uids_of(conn.cm, role))
    return [each.pid for each in observe(conn, role) if each.is_running and each.pid]


def kill(conn: ClipperConnection, role: str) -> Process:
    """Kill the process in *role* with SIGKILL, which to the Docker Engine too is a crash; return which it was.

    On Kubernetes its pod is deleted with a second to end, which is too little for a frontend, and made again elsewhere.
    """
    if isinstance(conn.cm, KubernetesContainerManager):
        uid = str(processes_of(conn, role)[0])
        kubernetes_managers().delete_pod(conn.cm, uid, grace_s=1)
        return uid
    pid = pid_of(conn, role)
    os.kill(pid, signal.SIGKILL)
    # A container's other processes go with its first one, though only in the moment after: until then they answer.
    eventually(lambda: not psutil.pid_exists(pid), within_s=20, what=f"process {pid} is gone")
    return pid


def exported_and_imported(conn: ClipperConnection, model: str, path: Path) -> tuple[str, ...]:
    """Export a cluster to a file, stop a model and import it from there; return the versions that were imported."""
    conn.export_configuration(path)
    conn.stop_models([model])
    return conn.import_configuration(path, existing="skip", timeout_s=120.0).models


def query_frontends_of(conn: ClipperConnection) -> list[Process]:
    """Return the query frontends that serve: processes of one parent, or pods."""
    if isinstance(conn.cm, KubernetesContainerManager):
        return list(kubernetes_managers().uids_of(conn.cm, "query_frontend", is_serving=True))
    return list(worker_pids(conn))


def end_query_frontend(conn: ClipperConnection, which: Process, *, at_once: bool) -> None:
    """Kill one query frontend, or ask it to end."""
    if isinstance(which, str):
        kubernetes_managers().delete_pod(conn.cm, which, grace_s=1 if at_once else None)
    else:
        os.kill(which, signal.SIGKILL if at_once else signal.SIGTERM)


def worker_pids(conn: ClipperConnection) -> list[int]:
    """Return the processes that are query frontends, where one parent has several."""
    first = psutil.Process(pid_of(conn, "query_frontend"))
    found = []
    for process in first.children(recursive=True):  # in a container there is another process above the parent
        with contextlib.suppress(psutil.Error):
            if not process.children() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return sorted(found)


def freeze(conn: ClipperConnection, role: str) -> None:
    """Stop the process in *role* with SIGSTOP: it holds its sockets and does nothing. ``kill`` ends it."""
    first = psutil.Process(pid_of(conn, role))
    for process in (first, *first.children(recursive=True)):  # a container's first process only minds the others
        process.suspend()


def eventually(is_true: Callable[[], Any], *, within_s: float, what: str) -> float:
    """Wait for something that happens by itself; return how many seconds it took."""
    started_s = time.monotonic()
    while not is_true():
        waited_s = time.monotonic() - started_s
        assert waited_s < within_s, f"{what}: not within {within_s} s"
        time.sleep(0.01)
    return time.monotonic() - started_s


def http_request(
    address: str,
    method: str,
    path: str,
    body: bytes | str | None = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, Any]:
    """Return status and parsed JSON (or text) of one plain HTTP request on a connection of its own."""
    host, port = address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    try:
        connection.request(method, path, body=body, headers=headers or {})
        reply = connection.getresponse()
        text = reply.read()
    finally:
        connection.close()
    try:
        return reply.status, json.loads(text)
    except ValueError:
        return reply.status, text.decode()


def query(conn: ClipperConnection, application: str, body: Any) -> tuple[int, Any]:
    """Send one predict request as any client would."""
    return http_request(conn.get_query_addr(), "POST", f"/{application}/predict", json.dumps(body))
