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

from clipper_nb.container_managers.docker.admin_folder import remove_folder_of_start
from clipper_nb.container_managers.docker.again import should_run
from clipper_nb.container_managers.docker.containers import DockerContainers
from clipper_nb.container_managers.docker.core import SET_ASIDE
from clipper_nb.container_managers.docker.core_containers import put_back, remove_old
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
            if self._noted_start() == start_id:
                self.forget()

    def forget(self) -> None:
        """Remove the note, if there is one."""
        remove_volume(self._engine, self._note)

    def remove_folder(self) -> None:
        """Remove the folder that the noted start made here, if any: its container may never have been made."""
        start_id = self._noted_start()
        if start_id is not None:
            remove_folder_of_start(start_id)

    def settle(self, remove_all: Callable[[], None]) -> None:
        """Complete or take back what a killed start left; *remove_all* removes all that the cluster has."""
        killed = self._killed_start()
        if killed is None:
            return
        claims: list[str] = []
        if not self._claim(killed, claims):
            return  # another caller does so now
        try:
            if self._killed_start() == killed:
                self._settle(killed, remove_all)
            for claim in claims[:-1]:  # only now: until the note is gone, others find this caller through them
                remove_volume(self._engine, claim)
        finally:
            remove_volume(self._engine, claims[-1])

    def _claim(self, ended: str, claims: list[str]) -> bool:
        """Return whether this caller settles what *ended* left, and add its claim to *claims*.

        A caller that was killed while it settled is followed by the one that claims what that left, and so on.
        """
        claim = claim_name(self._cluster, ended)
        claims.append(claim)
        if make_volume(self._engine, self._cluster, claim, secrets.token_hex(8), starter=this_starter()):
            return True
        before = self._ended_start(claim)
        return before is not None and self._claim(before, claims)

    def complete(self) -> None:
        """Forget a killed start all of whose containers run."""
        killed = self._killed_start()
        if killed is not None:
            new, old = self._parts(killed)
            if _are_whole(new):
                remove_old(self._containers, [each for each in old if each.name.endswith(SET_ASIDE)])
                self.forget()

    def _settle(self, killed: str, remove_all: Callable[[], None]) -> None:
        new, old = self._parts(killed)
        if _are_whole(new):
            self.complete()
        elif old:
            self._containers.stop(new, timeout_s=0)
            remove_folder_of_start(killed)
            put_back(old)
            self.forget()
        else:
            remove_all()

    def _killed_start(self) -> str | None:
        """Return the id of a start that is noted and whose process was killed."""
        return self._ended_start(self._note)

    def _ended_start(self, volume: str) -> str | None:
        """Return the id that a volume has of its creator, if that process has ended."""
        labels = read_volume_labels(self._engine, volume)
        return labels[environment.LABEL_START] if has_ended(labels.get(environment.LABEL_STARTER, "")) else None

    def _noted_start(self) -> str | None:
        """Return the id of the start that is noted."""
        return read_volume_labels(self._engine, self._note).get(environment.LABEL_START)

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
