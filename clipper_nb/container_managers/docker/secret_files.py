"""Secrets of containers as files: on a volume of each container's own, neither in its environment nor in its image."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from typing import Any

from clipper_nb.images.docker_engine import docker_module
from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import QUERY_FRONTEND, REPLICA
from clipper_nb.protocol.names import ModelId
from clipper_nb.protocol.replica_proof import encode_credentials, make_credentials

FOLDER = "/run/clipper_nb"


def secret_paths(secret_files: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that tell a container the paths of its files."""
    return {variable: f"{FOLDER}/{variable}" for variable in secret_files}


def secret_mounts(secret_files: Mapping[str, str], labels: Mapping[str, str]) -> list[Any]:
    """Return the mount of the volume for the files: a nameless one, which the engine removes with its container.

    The engine copies no file into a temporary file system, and none into a container whose root it may not write to.
    """
    if not secret_files:
        return []
    return [docker_module().types.Mount(FOLDER, None, type="volume", labels=dict(labels))]


def put_secrets(api: Any, container_id: str, secret_files: Mapping[str, str]) -> None:
    """Write the files into a container that was created and not started yet."""
    if secret_files:
        api.put_archive(container_id, FOLDER, _packed(secret_files))


def secret_files_again(labels: Mapping[str, str], secret: str) -> dict[str, str]:
    """Return the files of a container that was removed and is created again, by its labels."""
    role = labels.get(environment.LABEL_ROLE)
    if role == QUERY_FRONTEND:
        return {environment.REPLICA_SECRET_FILE: secret}
    if role != REPLICA:
        return {}
    model_id = ModelId(labels[environment.LABEL_MODEL], labels[environment.LABEL_MODEL_VERSION])
    credentials = make_credentials(secret, model_id, labels[environment.LABEL_NAME])
    return {environment.REPLICA_CREDENTIALS_FILE: encode_credentials(credentials)}


def _packed(secret_files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in secret_files.items():
            data = content.encode()
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o444  # the image's user, whose number is not known; nobody else is there
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()
