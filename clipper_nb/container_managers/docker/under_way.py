"""A start of a cluster on Docker is noted at the engine while it is under way; what a killed one left is settled.

The note is a volume. A start that finds the note of a process that was killed takes back what that had begun: a new
cluster is removed, and one that was to be resumed is kept again. Where everything runs already, only the note goes.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from clipper_nb.container_managers.docker.admin_folder import find_admin_folder
from clipper_nb.container_managers.docker.again import should_run
from clipper_nb.container_managers.docker.containers import DockerContainers
from clipper_nb.container_managers.docker.core import SET_ASIDE
from clipper_nb.container_managers.docker.core_containers import put_back
from clipper_nb.container_managers.docker.networks import make_volume, read_volume_labels, remove_volume
from clipper_nb.container_managers.docker.resources import claim_name, note_name
from clipper_nb.container_managers.docker.starter import has_ended, this_starter
from clipper_nb.container_managers.uninterrupted import uninterrupted
from clipper_nb.errors import ExistsError
from clipper_nb.images.docker_engine import DockerEngine
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import MANAGEMENT_FRONTEND, QUERY_FRONTEND


class StartUnderWay:
    """The note of one cluster's start.

    Parameters
    ----------
    engine : DockerEngine
    containers : DockerContainers
    cluster : str
    """

    def __init__(self, engine: DockerEngine, containers: DockerContainers, cluster: str) -> None:
        self._engine = engine
        self._containers = containers
        self._cluster = cluster
        self._note = note_name(cluster)

    @contextlib.contextmanager
    def noted(self) -> Iterator[str]:
        """Yield the id of a start, which is noted until the end of the block; containers have it as a label.

        Raises
        ------
        ExistsError
            Another start is under way.
        """
        start_id = secrets.token_hex(8)
        note = partial(make_volume, self._engine, self._cluster, self._note, start_id, starter=this_starter())
        try:
            if not uninterrupted(note):
                raise exists_error(self._cluster)
            yield start_id
        finally:
            if self._labels().get(environment.LABEL_START) == start_id:
                self.forget()

    def forget(self) -> None:
        """Remove the note, if there is one."""
        remove_volume(self._engine, self._note)

    def settle(self, remove_all: Callable[[], None]) -> None:
        """Complete or take back what a killed start left; *remove_all* removes all that the cluster has."""
        killed = self._killed_start()
        if killed is None:
            return
        claim = claim_name(self._cluster, killed)
        if not make_volume(self._engine, self._cluster, claim, secrets.token_hex(8)):
            return  # another caller does so now
        try:
            if self._killed_start() == killed:
                self._settle(killed, remove_all)
        finally:
            remove_volume(self._engine, claim)

    def complete(self) -> None:
        """Forget a killed start all of whose containers run."""
        killed = self._killed_start()
        if killed is not None:
            new, old = self._parts(killed)
            if _are_whole(new):
                self._containers.stop([each for each in old if each.name.endswith(SET_ASIDE)], timeout_s=0)
                self.forget()

    def _settle(self, killed: str, remove_all: Callable[[], None]) -> None:
        new, old = self._parts(killed)
        if _are_whole(new):
            self.complete()
        elif old:
            folders = [find_admin_folder(each.attrs) for each in new]
            self._containers.stop(new, timeout_s=0)
            for folder in folders:
                if folder is not None:
                    folder.remove()
            put_back(old)
            self.forget()
        else:
            remove_all()

    def _killed_start(self) -> str | None:
        """Return the id of a start that is noted and whose process was killed."""
        labels = self._labels()
        starter = labels.get(environment.LABEL_STARTER, "")
        return labels[environment.LABEL_START] if has_ended(starter) else None

    def _labels(self) -> dict[str, str]:
        return read_volume_labels(self._engine, self._note)

    def _parts(self, start_id: str) -> tuple[list[Any], list[Any]]:
        """Return the containers that a start made, and those that it found."""
        parts: tuple[list[Any], list[Any]] = [], []
        for container in self._containers.find():
            parts[container.labels.get(environment.LABEL_START) != start_id].append(container)
        return parts


def exists_error(cluster: str) -> ExistsError:
    """Return the error of a start under a name that is taken."""
    return ExistsError(
        f"A cluster with name '{cluster}' already exists on the Docker Engine, or is being started, or was stopped "
        "only in part. Use connect() to work with it, stop_all() to end it and remove the rest, or another "
        "cluster_name."
    )


def _are_whole(containers: Sequence[Any]) -> bool:
    """Return whether these are a core that runs; Redis was started before."""
    running = [each for each in containers if each.status != "created" and should_run(each.attrs)]
    return {each.labels.get(environment.LABEL_ROLE) for each in running} >= {QUERY_FRONTEND, MANAGEMENT_FRONTEND}
