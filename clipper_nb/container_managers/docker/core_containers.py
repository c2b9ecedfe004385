"""What the core's containers tell of a cluster on Docker: one that runs, or that was stopped to be kept.

A kept cluster is its volume and its stopped core. What a new core needs of that one is read from the containers:
secrets, ports, options. They are set aside under other names until the new core answers, so that a resumption that
fails can be repeated.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clipper_nb.clients.cluster_version import is_compatible
from clipper_nb.container_managers.docker import redis as docker_redis
from clipper_nb.container_managers.docker.admin_folder import mountable, remove_mounted_folders
from clipper_nb.container_managers.docker.again import should_run
from clipper_nb.container_managers.docker.containers import DockerContainers
from clipper_nb.container_managers.docker.core import SET_ASIDE, CorePorts, CoreSecrets
from clipper_nb.container_managers.docker.secret_files import CoreFiles, read_secrets
from clipper_nb.container_managers.specs import resumed_port
from clipper_nb.errors import (
    ClusterNotFoundError,
    ClusterStartError,
    ClusterUnreachableError,
    InvalidRequestError,
)
from clipper_nb.images.docker_engine import translated
from clipper_nb.images.user_ids import UserIds, decode_user_ids
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import MANAGEMENT_FRONTEND, QUERY_FRONTEND, REDIS, REPLICA
from clipper_nb.protocol.environment import file_variable
from clipper_nb.protocol.tls_identity import TlsIdentity, decode_identity
from clipper_nb.version import __version__


@dataclass(frozen=True)
class KeptCluster:
    """The stopped core of a cluster."""

    containers: tuple[Any, ...]
    package_version: str
    options: Mapping[str, Any] = field(repr=False)
    secrets: CoreSecrets
    ports: CorePorts
    user_ids: UserIds

    def check_resumable(self, cluster: str) -> None:
        """Raise :class:`ClusterStartError` if this release cannot run it."""
        if not is_compatible(self.package_version):
            raise ClusterStartError(
                f"The kept cluster '{cluster}' was run by clipper_nb {self.package_version}; this is clipper_nb "
                f"{__version__}. Nothing was changed. Resume it with that release, or call start_clipper(fresh=True), "
                "which removes it first."
            )

    def check_user_ids(self, asked: UserIds | None) -> None:
        """Raise :class:`InvalidRequestError` if other user ids were asked for than those that own its files."""
        if asked not in (None, self.user_ids):
            raise InvalidRequestError(
                f"The kept cluster's files belong to one of the user ids {self.user_ids}; container_user_ids are "
                f"{asked}. Leave the argument out, or call start_clipper(fresh=True), which removes the cluster first."
            )

    def resumed_ports(self, asked: CorePorts) -> CorePorts:
        """Return the ports to take again; one that is not the default was asked for, and wins."""
        return CorePorts(
            query=resumed_port(asked.query, self.ports.query, environment.DEFAULT_QUERY_PORT),
            management=resumed_port(asked.management, self.ports.management, environment.DEFAULT_MANAGEMENT_PORT),
            rpc=resumed_port(asked.rpc, self.ports.rpc, environment.DEFAULT_RPC_PORT),
        )


def is_kept(containers: Sequence[Any]) -> bool:
    """Return whether these are the containers of a cluster that was stopped to be kept."""
    roles = {container.labels.get(environment.LABEL_ROLE) for container in containers}
    return (
        roles >= {QUERY_FRONTEND, MANAGEMENT_FRONTEND}
        and REPLICA not in roles
        and not any(container.status == "running" or should_run(container.attrs) for container in containers)
    )


def read_kept(containers: Sequence[Any]) -> KeptCluster | None:
    """Return the cluster that was stopped to be kept, if these are its containers."""
    if not is_kept(containers):
        return None
    core = {container.labels.get(environment.LABEL_ROLE): container for container in containers}
    query, management = core[QUERY_FRONTEND], core[MANAGEMENT_FRONTEND]
    files = _read_secrets(core)
    return KeptCluster(
        containers=tuple(containers),
        package_version=management.labels[environment.LABEL_PACKAGE_VERSION],
        options={
            **json.loads(management.labels.get(environment.LABEL_OPTIONS, "{}")),
            "query_token": files.query_token or "",
        },
        secrets=CoreSecrets(
            admin_token=files.admin_token,
            redis_password=docker_redis.read_password(files.by_role[REDIS]) if REDIS in core else "",
            tls=files.tls,
        ),
        ports=_read_ports(query, management),
        user_ids=_read_user_ids(management),
    )


@dataclass(frozen=True)
class KnownSecrets:
    """What the core's containers have as files."""

    by_role: CoreFiles = field(repr=False)

    @property
    def admin_token(self) -> str:
        """The token of admin calls."""
        return self.by_role[MANAGEMENT_FRONTEND][file_variable(environment.ADMIN_TOKEN)]

    @property
    def query_token(self) -> str | None:
        """What clients of applications need; ``None`` for a cluster without."""
        return self.by_role[QUERY_FRONTEND].get(file_variable(environment.QUERY_TOKEN))

    @property
    def tls(self) -> TlsIdentity | None:
        """Identity of the frontends; ``None`` if they speak HTTP."""
        text = self.by_role[MANAGEMENT_FRONTEND].get(file_variable(environment.TLS_IDENTITY))
        return None if text is None else decode_identity(text)


@dataclass(frozen=True)
class RunningCluster:
    """The core of a cluster that runs."""

    ports: CorePorts
    secrets: KnownSecrets
    user_ids: UserIds


def read_running(containers: Sequence[Any], cluster: str) -> RunningCluster:
    """Return the core of a cluster that runs.

    Raises
    ------
    ClusterNotFoundError
        There are no containers, or those of a cluster that was stopped to be kept.
    ClusterUnreachableError
        A frontend is missing.
    """
    core = _running_core(containers, cluster)
    try:
        query, management = core[QUERY_FRONTEND], core[MANAGEMENT_FRONTEND]
    except KeyError as exc:
        raise ClusterUnreachableError(
            f"Cluster '{cluster}' has no {exc.args[0]}; stop_all() removes what is left of it."
        ) from exc
    return RunningCluster(_read_ports(query, management), _read_secrets(core), _read_user_ids(management))


def check_it_goes_on(containers: Sequence[Any], cluster: str) -> None:
    """Raise :class:`ClusterNotFoundError` if the cluster has ended, or a frontend of it will not answer any more."""
    core = _running_core(containers, cluster)
    for role in (QUERY_FRONTEND, MANAGEMENT_FRONTEND):
        what = _why_silent(core.get(role))
        if what is not None:
            raise ClusterNotFoundError(
                f"Cluster '{cluster}' is ending, or was started or stopped only in part: its {role} {what}. stop_all() "
                "removes what is left of it."
            )


def _why_silent(frontend: Any | None) -> str | None:
    if frontend is None:
        return "is gone"
    if frontend.status == "created":
        return "was not started"
    return None if should_run(frontend.attrs) else "was told to stop"


def _running_core(containers: Sequence[Any], cluster: str) -> dict[str, Any]:
    """Return the newest container of each role; raise :class:`ClusterNotFoundError` if the cluster does not run."""
    if is_kept(containers):
        raise ClusterNotFoundError(
            f"The cluster '{cluster}' is stopped, and kept by the Docker Engine. start_clipper() brings it back."
        )
    if not containers:
        raise ClusterNotFoundError(
            f"The Docker Engine runs no cluster with name '{cluster}'. Start one with start_clipper()."
        )
    return {container.labels.get(environment.LABEL_ROLE, ""): container for container in containers}


def _read_ports(query: Any, management: Any) -> CorePorts:
    return CorePorts(
        query=int(query.labels[environment.LABEL_QUERY_PORT]),
        management=int(management.labels[environment.LABEL_MANAGEMENT_PORT]),
        rpc=int(query.labels[environment.LABEL_RPC_PORT]),
    )


def _read_user_ids(management: Any) -> UserIds:
    return decode_user_ids(management.labels[environment.LABEL_USER_IDS])


def _read_secrets(by_role: Mapping[str, Any]) -> KnownSecrets:
    core = (QUERY_FRONTEND, MANAGEMENT_FRONTEND, REDIS)
    with mountable(by_role[MANAGEMENT_FRONTEND].attrs):
        return KnownSecrets({role: read_secrets(by_role[role]) for role in core if role in by_role})


@contextlib.contextmanager
def set_aside(containers: DockerContainers, kept: KeptCluster) -> Iterator[None]:
    """Make room for a new core; remove the old one when the block succeeds, else put it back.

    Raises
    ------
    ClusterError
        Another caller resumes the cluster now.
    """
    _rename_all(kept.containers, lambda name: name.removesuffix(SET_ASIDE) + SET_ASIDE)
    try:
        yield
    except BaseException:
        ids = {container.id for container in kept.containers}
        containers.stop([new for new in containers.find() if new.id not in ids], timeout_s=0)
        put_back(kept.containers)
        raise
    remove_old(containers, kept.containers)


def remove_old(containers: DockerContainers, old: Sequence[Any]) -> None:
    """Remove containers that were set aside, and the folder that reading one of them may have needed."""
    containers.stop(old, timeout_s=0)
    remove_mounted_folders(container.attrs for container in old)


def put_back(containers: Sequence[Any]) -> None:
    """Give containers that were set aside their names again."""
    _rename_all(containers, lambda name: name.removesuffix(SET_ASIDE))


def _rename_all(kept: Sequence[Any], new_name: Callable[[str], str]) -> None:
    for container in kept:
        with translated(f"renaming container '{container.name}'"):
            container.reload()
            if container.name != new_name(container.name):
                container.rename(new_name(container.name))
