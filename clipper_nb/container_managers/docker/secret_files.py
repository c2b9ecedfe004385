"""Puts the secrets of containers into files on a volume of each container's own, and reads them from there."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping
from typing import Any

from clipper_nb.container_managers.docker.archives import owner_of, pack_files
from clipper_nb.container_managers.secret_files import FOLDER
from clipper_nb.images.docker_engine import docker_module, translated
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import QUERY_FRONTEND, REPLICA
from clipper_nb.protocol.environment_variables import encode_variables
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.replica_proof import encode_credentials, make_credentials

CoreFiles = Mapping[str, Mapping[str, str]]
"""The secret files of Redis and both frontends, by role."""
FindVariables = Callable[[ModelId], Mapping[str, str]]
"""Returns the environment variables of a version, with their values."""


def secret_mounts(secret_files: Mapping[str, str], labels: Mapping[str, str]) -> list[Any]:
    """Return the mount of the volume for the files: a nameless one, which the engine removes with its container.

    The engine copies no file into a temporary file system, and none into a container whose root it may not write to.
    """
    if not secret_files:
        return []
    return [docker_module().types.Mount(FOLDER, None, type="volume", labels=dict(labels))]


def put_secrets(api: Any, container_id: str, secret_files: Mapping[str, str], user: str | None) -> None:
    """Write the files of *user* into a container that was created and not started yet."""
    if secret_files:
        api.put_archive(container_id, FOLDER, pack_files(secret_files, owner_of(user)))


def read_secrets(container: Any) -> dict[str, str]:
    """Return the files of a container by their variables, whether it runs or not."""
    with translated(f"reading the secrets of '{container.name}'"):
        stream, _ = container.get_archive(FOLDER)
        packed = io.BytesIO(b"".join(stream))
    with tarfile.open(fileobj=packed) as tar:
        members = [(member.name.rpartition("/")[2], tar.extractfile(member)) for member in tar.getmembers()]
        return {name: file.read().decode() for name, file in members if file is not None}


def secret_files_again(config: Mapping[str, Any], core_files: CoreFiles, find: FindVariables) -> Mapping[str, str]:
    """Return the files of a container that was removed and is created again, by the configuration that it had.

    *find* is asked for the variables of a replica that had such a file.
    """
    labels = config["Labels"]
    role = labels[environment.LABEL_ROLE]
    if role != REPLICA:
        return core_files[role]
    secret = core_files[QUERY_FRONTEND][environment.REPLICA_SECRET_FILE]
    model_id = ModelId(labels[environment.LABEL_MODEL], labels[environment.LABEL_MODEL_VERSION])
    credentials = make_credentials(secret, model_id, labels[environment.LABEL_NAME])
    files = {environment.REPLICA_CREDENTIALS_FILE: encode_credentials(credentials)}
    if any(variable.startswith(f"{environment.VARIABLES_FILE}=") for variable in config["Env"]):
        files[environment.VARIABLES_FILE] = encode_variables(find(model_id))
    return files
