"""The core of an embedded cluster (Redis and both frontends): what its processes are, and which sockets they serve."""

from __future__ import annotations

import sys
from dataclasses import replace

from clipper_nb.container_managers import specs
from clipper_nb.container_managers.local.cluster_folder import ClusterFolder
from clipper_nb.container_managers.local.redis import redis_spec, write_redis_config
from clipper_nb.container_managers.specs import ClusterOptions
from clipper_nb.protocol import clipper_containers, environment
from clipper_nb.protocol.cluster_record import ClusterRecord
from clipper_nb.protocol.containers import ContainerSpec
from clipper_nb.protocol.replica_proof import replica_secret


def core_specs(
    folder: ClusterFolder, record: ClusterRecord, redis_server: str, options: ClusterOptions
) -> tuple[ContainerSpec, ContainerSpec, ContainerSpec]:
    """Return the specs of Redis, whose configuration is written, of the management and of the query frontend."""
    redis = {
        environment.REDIS_URL: f"unix://:{record.redis_password}@{folder.redis_socket_path}",
        **specs.new_run_id(),
    }
    management = specs.management_frontend_spec(sys.executable, options, redis, record.admin_token, tls=record.tls)
    query = specs.query_frontend_spec(
        sys.executable,
        options,
        redis,
        secret=replica_secret(record.admin_token),
        clipper_containers=clipper_containers.CONTAINERLESS,
        tls=record.tls,
    )
    return (
        redis_spec(redis_server, write_redis_config(folder, record.redis_password)),
        _with_unix_socket(management, environment.HTTP_UNIX_SOCKET, "management_unix"),
        _with_unix_socket(query, environment.RPC_UNIX_SOCKET, "rpc_unix"),
    )


def _with_unix_socket(frontend: ContainerSpec, variable: str, name: str) -> ContainerSpec:
    """Return the spec of a frontend that also serves the Unix socket of that name, which only this user can reach."""
    return replace(frontend, sockets={**frontend.sockets, variable: name})
