"""What a connected notebook does for its cluster, in threads: it brings back what was killed, stops orphans, scales."""

from __future__ import annotations

import weakref
from functools import partial

from clipper_nb.clients.management_client import ManagementClient
from clipper_nb.container_managers.base import ContainerManager
from clipper_nb.container_managers.docker.containers import DockerContainers
from clipper_nb.container_managers.docker.secret_files import CoreFiles
from clipper_nb.container_managers.docker.watch import DockerWatch
from clipper_nb.container_managers.more_replicas import start_more
from clipper_nb.container_managers.reaper import Reaper
from clipper_nb.images.docker_engine import DockerEngine
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import REPLICA
from clipper_nb.protocol.names import ModelId


class Keeper:
    """A watch and a reaper of one cluster, until ``stop``, or until nobody holds *owner* any more.

    A cell that connects is run again and again: what it connected before must not keep its threads.

    Parameters
    ----------
    owner : ContainerManager
        Nothing here keeps it.
    engine : DockerEngine
    containers : DockerContainers
    cluster : str
    management : ManagementClient
        Closed with it.
    core_files : mapping
        The secrets of containers that may have to be created again.
    """

    def __init__(
        self,
        owner: ContainerManager,
        engine: DockerEngine,
        containers: DockerContainers,
        cluster: str,
        management: ManagementClient,
        core_files: CoreFiles,
    ) -> None:
        self._management = management
        self._watch = DockerWatch(engine, containers, cluster, core_files, management.get_environment_variables)
        observe = partial(containers.observe, **{environment.LABEL_ROLE: REPLICA})
        self._owner = weakref.ref(owner)
        self._reaper = Reaper(management, observe, containers.stop_replicas, self._start_more)
        self._of_owner = weakref.finalize(owner, self._let_end)
        self._of_owner.atexit = False  # the threads are daemons

    def start(self) -> None:
        """Start both threads."""
        self._watch.start()
        self._reaper.start()

    def stop(self) -> None:
        """End the watch; the reaper may wait some more seconds for an answer."""
        self._of_owner.detach()
        self._let_end()
        self._watch.join()

    def _start_more(self, model_id: ModelId, number: int) -> None:
        owner = self._owner()
        if owner is not None:
            start_more(owner, self._management, model_id, number)

    def _let_end(self) -> None:
        # No wait: any thread may collect the owner, one of these too.
        self._watch.let_end()
        self._reaper.stop()
        self._management.close()
