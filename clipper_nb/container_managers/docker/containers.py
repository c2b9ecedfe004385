"""Starts, observes and stops the containers of one cluster on the Docker Engine."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from clipper_nb.container_managers.docker.again import Attributes, equal_container, should_run
from clipper_nb.container_managers.docker.create_arguments import create_arguments, exit_status
from clipper_nb.container_managers.docker.inspections import Inspections, Summary
from clipper_nb.container_managers.docker.secret_files import put_secrets
from clipper_nb.container_managers.log_copies import create_copy
from clipper_nb.container_managers.secret_files import with_secrets_as_files
from clipper_nb.errors import ClipperException
from clipper_nb.images.docker_engine import DockerEngine, docker_module, translated
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import REPLICA, ContainerSpec, ObservedContainer

_NUM_AT_ONCE = 8
"""Starts wait for the programs that the engine runs for each, one after the other."""
_NUM_UPDATE_TRIES, _UPDATE_INTERVAL_S = 5, 0.1
_REMOVED_WITHIN_S = 10.0
_POD_LABEL = "io.kubernetes.pod.uid"

Prepare = Callable[[Any, str, "str | None"], None]
"""Takes the engine's low-level client, the id of a container that was created, and its user."""
_Item = TypeVar("_Item")


class DockerContainers:
    """Starts, observes and stops the containers of one cluster.

    Parameters
    ----------
    engine : DockerEngine
    cluster : str
    """

    def __init__(self, engine: DockerEngine, cluster: str) -> None:
        self._engine = engine
        self._cluster = cluster
        self._inspections = Inspections(self._get)

    def run(
        self,
        spec: ContainerSpec,
        image: str,
        *,
        extra: Mapping[str, Any],
        host_ports: Mapping[str, int] | None = None,
        publish_address: str = "127.0.0.1",
        networks: Mapping[str, str] | None = None,
        prepare: Prepare | None = None,
    ) -> None:
        """Create and start a container; a failure leaves nothing of it.

        In its own network it has the spec's name besides its full one; in each of *networks*, the name given there.
        *prepare* is called in between.
        """
        spec = with_secrets_as_files(spec)
        arguments = create_arguments(
            spec,
            cluster=self._cluster,
            image=image,
            host_ports=host_ports or {},
            publish_address=publish_address,
            extra=extra,
        )
        client = self._engine.client
        with translated(f"creating container '{arguments['name']}'"):
            if "network" in arguments:
                endpoint = client.api.create_endpoint_config(aliases=[spec.name])
                arguments["networking_config"] = {arguments["network"]: endpoint}
            container = client.containers.create(**arguments)
        try:
            with translated(f"starting container '{container.name}'"):
                put_secrets(client.api, container.id, spec.secret_files, arguments.get("user"))
                if prepare is not None:
                    prepare(client.api, container.id, arguments.get("user"))
                for network, name in (networks or {}).items():
                    client.networks.get(network).connect(container, aliases=[name])
                container.start()
        except BaseException:
            self.stop([container], timeout_s=0)
            raise

    def find(self, **labels: str) -> list[Any]:
        """Return the cluster's containers with these labels, oldest first; includes those that do not run."""
        wanted = {environment.LABEL_CLUSTER: self._cluster, **labels}
        with translated("listing containers"):
            found = self._engine.client.containers.list(
                all=True, ignore_removed=True, filters={"label": [f"{key}={value}" for key, value in wanted.items()]}
            )
        return sorted((each for each in found if not is_in_pod(each.labels)), key=_created)

    def observe(self, **labels: str) -> list[ObservedContainer]:
        """Return the current state of the containers with these labels."""
        existing = self._list()
        wanted = [summary for summary in existing if labels.items() <= summary["Labels"].items()]
        return [self._observe(each) for each in sorted(self._inspections.of(wanted, existing), key=_created)]

    def stop(self, containers: Iterable[Any], *, timeout_s: float) -> None:
        """End containers, each within *timeout_s*, and remove them; 0 kills them."""
        with translated("stopping containers"):
            in_parallel(lambda container: _stop(container, timeout_s), list(containers))

    def stop_replicas(self, names: Sequence[str]) -> None:
        """Stop the replicas of these names once they have finished their queries; unknown ones are fine."""
        if names:
            replicas = self.find(**{environment.LABEL_ROLE: REPLICA})
            self.stop([container for container in replicas if container.name in names], timeout_s=10)

    def end(self, containers: Iterable[Any], *, timeout_s: float) -> None:
        """End containers, each within *timeout_s*, for good, but do not remove them; 0 kills them."""
        with translated("stopping containers"):
            in_parallel(lambda container: _end(container, timeout_s), list(containers))

    def restart_ended(self) -> list[Any]:
        """Restart containers that should run but were killed or stopped by hand.

        Returns all containers of the cluster. Each is inspected: the engine's list may show what has just ended as
        running, and there is no other look at it.
        """
        containers = self.find()
        for container in containers:
            with contextlib.suppress(ClipperException), translated("starting a container again"):
                if container.status == "exited" and should_run(container.attrs):
                    container.start()
        return containers

    def are_up(self) -> bool:
        """Return whether no container of the cluster has ended, by one request."""
        return not any(summary["State"] in ("exited", "restarting") for summary in self._list())

    def inspect(self, container_id: str) -> Attributes | None:
        """Return the engine's inspection of a container; ``None`` if there is none."""
        with translated("inspecting a container"):
            try:
                found: Attributes = self._engine.client.api.inspect_container(container_id)
            except docker_module().errors.NotFound:
                return None
        return found

    def make_again(self, attributes: Attributes, secret_files: Mapping[str, str]) -> None:
        """Create and start a removed container again; another notebook may have done so already."""
        api, errors = self._engine.client.api, docker_module().errors
        equal = equal_container(attributes)
        with translated(f"making container '{equal.name}' again"):
            try:
                made = api.create_container_from_config(equal.config, equal.name)["Id"]
            except errors.APIError as exc:
                if exc.status_code == HTTPStatus.CONFLICT:
                    return
                raise
            try:
                put_secrets(api, made, secret_files, equal.config["User"])
                for network, endpoint in equal.networks.items():
                    api.connect_container_to_network(made, network, aliases=endpoint.get("Aliases"))
                api.start(made)
            except BaseException:
                api.remove_container(made, force=True, v=True)
                raise

    def log_tail(self, name: str, max_lines: int) -> str:
        """Return the last lines of a container's log; empty when there is no such container."""
        docker = docker_module()
        with translated(f"reading the log of '{name}'"):
            try:
                text: bytes = self._engine.client.containers.get(name).logs(tail=max_lines)
            except docker.errors.NotFound:
                return ""
        return text.decode("utf-8", "replace").rstrip("\n")

    def write_logs(self, folder: Path) -> list[str]:
        """Write the log of each container to a file in *folder*; return their paths."""
        return [self._write_log(container, folder) for container in self.find()]

    def _write_log(self, container: Any, folder: Path) -> str:
        path = folder / f"{container.labels[environment.LABEL_NAME]}.log"
        with translated(f"reading the log of '{container.name}'"):
            text = container.logs()
        with create_copy(path) as copy:
            copy.write(text)
        return str(path)

    def _list(self) -> list[Summary]:
        """Return what the engine's list says of the cluster's containers."""
        with translated("listing containers"):
            found: list[Summary] = self._engine.client.api.containers(
                all=True, filters={"label": f"{environment.LABEL_CLUSTER}={self._cluster}"}
            )
        return [each for each in found if not is_in_pod(each["Labels"])]

    def _get(self, container_id: str) -> Any | None:
        with translated("inspecting a container"):
            try:
                return self._engine.client.containers.get(container_id)
            except docker_module().errors.NotFound:
                return None

    def _observe(self, container: Any) -> ObservedContainer:
        state = container.attrs["State"]
        labels = container.labels
        has_ended = container.status in ("exited", "dead")
        num_exits = container.attrs["RestartCount"] + has_ended
        status: int | None = None
        was_out_of_memory = bool(state.get("OOMKilled"))  # of the last end
        if has_ended or container.status == "restarting":
            status = exit_status(state["ExitCode"])
        elif num_exits:
            # The engine keeps the out-of-memory flag while the container runs again, but not the exit status.
            status = -signal.SIGKILL if was_out_of_memory else self._last_status(container)
        model = labels.get(environment.LABEL_MODEL)
        return ObservedContainer(
            name=container.name,
            role=labels.get(environment.LABEL_ROLE, ""),
            model=f"{model}:{labels[environment.LABEL_MODEL_VERSION]}" if model else None,
            image=labels.get(environment.LABEL_IMAGE) or container.attrs["Config"]["Image"],
            is_running=container.status == "running",
            num_exits=num_exits,
            exit_status=status,
            pid=state["Pid"] or None,
            was_out_of_memory=was_out_of_memory,
        )

    def _last_status(self, container: Any) -> int | None:
        """Return the last exit status of a container that runs again, if the engine still has the event."""
        with translated("reading the engine's events"):
            events = self._engine.client.api.events(
                since=0, until=int(time.time()) + 1, decode=True,
                filters={"container": container.id, "event": "die"},
            )  # fmt: skip
            known = [event["Actor"]["Attributes"].get("exitCode") for event in events]
        return exit_status(int(known[-1])) if known and known[-1] is not None else None


def is_in_pod(labels: Mapping[str, str]) -> bool:
    """Return whether a container with these labels is Kubernetes'.

    A kubelet that shares this engine gives containers the labels of their pods, and the pods of a cluster of the same
    name on Kubernetes have ours.
    """
    return _POD_LABEL in labels


def _created(container: Any) -> str:
    return str(container.attrs["Created"])


def in_parallel(action: Callable[[_Item], None], items: Sequence[_Item]) -> None:
    """Run *action* on all containers, several at a time; then raise the first exception."""
    if not items:
        return
    with ThreadPoolExecutor(min(_NUM_AT_ONCE, len(items)), thread_name_prefix="clipper_nb docker") as pool:
        futures = [pool.submit(action, item) for item in items]
    for future in futures:
        future.result()


def _end(container: Any, timeout_s: float) -> None:
    _take_restart_policy(container)
    # The engine refuses to stop a container that is ending by itself right now.
    with contextlib.suppress(docker_module().errors.APIError):
        if container.status == "paused":
            container.unpause()
        container.stop(timeout=int(timeout_s))


def _stop(container: Any, timeout_s: float) -> None:
    errors = docker_module().errors
    if timeout_s > 0:
        _end(container, timeout_s)
    else:
        _take_restart_policy(container)
    try:
        container.remove(force=True, v=True)
    except errors.NotFound:
        pass
    except errors.APIError as exc:
        if exc.status_code != HTTPStatus.CONFLICT:
            raise
        _wait_until_removed(container)  # by another caller, such as the one that looks for orphans


def _wait_until_removed(container: Any) -> None:
    deadline_s = time.monotonic() + _REMOVED_WITHIN_S
    with contextlib.suppress(docker_module().errors.NotFound):
        while time.monotonic() < deadline_s:
            container.reload()
            time.sleep(_UPDATE_INTERVAL_S)


def _take_restart_policy(container: Any) -> None:
    """Prevent the engine and every watcher from restarting the container, or creating it again after removal."""
    errors = docker_module().errors
    for _ in range(_NUM_UPDATE_TRIES):
        try:
            container.update(restart_policy={"Name": "no"})
        except errors.NotFound:
            return
        except errors.APIError:  # it is ending by itself; the engine refuses until it has noticed
            time.sleep(_UPDATE_INTERVAL_S)
        else:
            return
