"""Secrets of containers as files: in neither their environment nor their image. (pure)"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from clipper_nb.protocol import environment
from clipper_nb.protocol.containers import ContainerSpec

FOLDER = "/run/clipper_nb"
"""Where containers have them."""


def with_secrets_as_files(spec: ContainerSpec) -> ContainerSpec:
    """Return the spec of a container that has the secrets of its environment as files; empty ones it has not at all."""
    variables, files = dict(spec.environment), dict(spec.secret_files)
    for secret in environment.SECRETS:
        content = variables.pop(secret, "")
        if content:
            files[environment.file_variable(secret)] = content
    return replace(spec, environment=variables, secret_files=files)


def secret_path(variable: str) -> str:
    """Return the path of the file that a variable tells."""
    return f"{FOLDER}/{variable}"


def secret_paths(secret_files: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables that tell a container the paths of its files."""
    return {variable: secret_path(variable) for variable in secret_files}
