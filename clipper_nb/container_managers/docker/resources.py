"""The networks and volumes of a cluster on Docker: they come before its containers, and go after them."""

from __future__ import annotations

from functools import partial

from clipper_nb.container_managers.docker import redis as docker_redis
from clipper_nb.container_managers.docker import rpc_folder
from clipper_nb.container_managers.docker.create_arguments import networks
from clipper_nb.container_managers.docker.networks import (
    make_network,
    make_shared_folder,
    make_volume,
    remove_networks,
    remove_volumes,
)
from clipper_nb.container_managers.uninterrupted import uninterrupted
from clipper_nb.images.docker_engine import DockerEngine


class ClusterResources:
    """Those of one cluster. The volume of its Redis holds the cluster's name.

    Parameters
    ----------
    engine : DockerEngine
    cluster : str
    """

    def __init__(self, engine: DockerEngine, cluster: str) -> None:
        self._engine = engine
        self._cluster = cluster
        self._redis_volume = docker_redis.volume_name(cluster)

    def take_name(self, start_id: str) -> bool:
        """Return whether this start owns the cluster's name: the creator of the volume for Redis does."""
        return uninterrupted(partial(make_volume, self._engine, self._cluster, self._redis_volume, start_id))

    def make(self) -> None:
        """Create the networks, in place of those of a start that was cut off or of before a stop, and the RPC folder.

        Raises
        ------
        ExistsError
            A network of that name is there, and is not the cluster's.
        """
        remove_networks(self._engine, self._cluster)
        for network in networks(self._cluster):
            uninterrupted(partial(make_network, self._engine, self._cluster, network))
        folder = rpc_folder.volume_name(self._cluster)
        make_shared_folder(self._engine, self._cluster, folder, rpc_folder.VOLUME_OPTIONS)

    def remove(self) -> None:
        """Remove them all, that which holds the name last; the cluster's containers are gone.

        After it goes what says that this is being done for a start that was killed.
        """
        remove_networks(self._engine, self._cluster)
        remove_volumes(self._engine, self._cluster, last=(self._redis_volume, claim_name(self._cluster, "")))


def note_name(cluster: str) -> str:
    """Return the name of the volume that notes that a start of the cluster is under way."""
    return f"{cluster}-starting"


def claim_name(cluster: str, start_id: str) -> str:
    """Return the name of the volume whose creator settles what a killed start left."""
    return f"{cluster}-settling-{start_id}"
