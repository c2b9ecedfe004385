"""Creates and removes the networks and the volume of one cluster on the Docker Engine."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from clipper_nb.container_managers.docker.create_arguments import cluster_labels
from clipper_nb.errors import ExistsError
from clipper_nb.images.docker_engine import DockerEngine, docker_module, translated
from clipper_nb.protocol import environment


def make_network(engine: DockerEngine, cluster: str, name: str) -> None:
    """Create a network of the cluster; raises :class:`ExistsError` if there is one of that name."""
    docker = docker_module()
    with translated(f"making network '{name}'"):
        try:
            engine.client.networks.create(name, driver="bridge", check_duplicate=True, labels=cluster_labels(cluster))
        except docker.errors.APIError as exc:
            if exc.status_code == HTTPStatus.CONFLICT:
                raise ExistsError(f"The Docker Engine has a network '{name}' already.") from exc
            raise


def describe_network(engine: DockerEngine, name: str) -> str:
    """Return a network's address range and gateway, as the query frontend reads them; empty if they are not known."""
    with translated(f"looking for network '{name}'"):
        network = engine.client.networks.get(name)
    ranges = [each for each in network.attrs["IPAM"]["Config"] or () if ":" not in each.get("Subnet", ":")]
    return f"{ranges[0]['Subnet']} {ranges[0]['Gateway']}" if ranges and ranges[0].get("Gateway") else ""


def make_volume(engine: DockerEngine, cluster: str, name: str, start_id: str, *, starter: str = "") -> bool:
    """Create a volume of the cluster; return whether this start of the cluster created it, now or before.

    Of several concurrent starts only one creates it. (Networks of the same name the engine creates for each of them.)
    """
    labels = {**cluster_labels(cluster), environment.LABEL_START: start_id}
    if starter:
        labels[environment.LABEL_STARTER] = starter
    with translated(f"making volume '{name}'"):
        volume = engine.client.volumes.create(name, labels=labels)
    return (volume.attrs["Labels"] or {}).get(environment.LABEL_START) == start_id


def make_shared_folder(engine: DockerEngine, cluster: str, name: str, options: Mapping[str, str]) -> None:
    """Create a volume with these options for the driver, unless it is there."""
    with translated(f"making volume '{name}'"):
        engine.client.volumes.create(name, driver="local", driver_opts=dict(options), labels=cluster_labels(cluster))


def read_volume_labels(engine: DockerEngine, name: str) -> dict[str, str]:
    """Return the labels of a volume; none if there is no such volume."""
    with translated(f"looking for volume '{name}'"):
        try:
            return dict(engine.client.volumes.get(name).attrs["Labels"] or {})
        except docker_module().errors.NotFound:
            return {}


def remove_volume(engine: DockerEngine, name: str) -> None:
    """Remove a volume that no container uses, if it is there."""
    with translated(f"removing volume '{name}'"), contextlib.suppress(docker_module().errors.NotFound):
        engine.client.api.remove_volume(name, force=True)


def has_volume(engine: DockerEngine, name: str) -> bool:
    """Return whether there is a volume of that name."""
    with translated(f"looking for volume '{name}'"):
        try:
            engine.client.volumes.get(name)
        except docker_module().errors.NotFound:
            return False
    return True


def remove_networks(engine: DockerEngine, cluster: str) -> None:
    """Remove the networks of a cluster whose containers are gone."""
    docker = docker_module()
    with translated("removing networks"):
        for network in engine.client.networks.list(filters=_of_cluster(cluster)):
            with contextlib.suppress(docker.errors.NotFound):
                network.reload()
                for container in network.containers:  # the user's own
                    network.disconnect(container, force=True)
                network.remove()


def remove_volumes(engine: DockerEngine, cluster: str, *, last: Sequence[str]) -> None:
    """Remove the volumes of a cluster whose containers are gone; at the end those whose names begin with *last*, in
    that order."""
    docker = docker_module()
    with translated("removing volumes"):
        found = engine.client.volumes.list(filters=_of_cluster(cluster))
        places = {volume.id: [volume.name.startswith(begin) for begin in reversed(last)] for volume in found}
        for volume in sorted(found, key=lambda volume: places[volume.id]):
            with contextlib.suppress(docker.errors.NotFound):
                volume.remove(force=True)


def _of_cluster(cluster: str) -> dict[str, str]:
    return {"label": f"{environment.LABEL_CLUSTER}={cluster}"}
