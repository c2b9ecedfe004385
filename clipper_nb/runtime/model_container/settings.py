"""The settings of a model container, from environment variables with Clipper's names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clipper_nb.errors import InvalidRequestError
from clipper_nb.protocol import environment
from clipper_nb.protocol.input_types import InputType, parse_input_type
from clipper_nb.protocol.names import ModelId, check_model_name, check_version
from clipper_nb.protocol.replica_proof import ReplicaCredentials, decode_credentials, member_of

if TYPE_CHECKING:
    from clipper_nb.protocol.records import TextOutputs


@dataclass(frozen=True)
class ModelContainerSettings:
    """One replica's settings."""

    model_id: ModelId
    input_type: InputType
    frontend_addresses: tuple[str, ...]
    """``host:port`` of each query frontend's RPC port, or the path of its Unix socket."""
    model_path: Path
    load_timeout_s: float | None
    ready_file: Path | None = None
    text_outputs: TextOutputs = "json"
    hang_timeout_s: float | None = environment.DEFAULT_HANG_TIMEOUT_S
    credentials: ReplicaCredentials | None = None
    follows_frontends: bool = False
    """Whether the query frontends are at all addresses of that name, also those that it gets later."""


def model_container_settings(variables: Mapping[str, str] = os.environ) -> ModelContainerSettings:
    """Return the settings; raises :class:`InvalidRequestError` if a variable is missing or wrong."""
    for name in (environment.MODEL_NAME, environment.MODEL_VERSION):
        if not variables.get(name):
            raise InvalidRequestError(f"The environment variable {name} is not set.")
    host = variables.get(environment.FRONTEND_HOST) or "127.0.0.1"
    port = variables.get(environment.FRONTEND_RPC_PORT) or str(environment.DEFAULT_RPC_PORT)
    if not port.isdigit():
        raise InvalidRequestError(f"The environment variable {environment.FRONTEND_RPC_PORT} is {port!r}, not a port.")
    return ModelContainerSettings(
        model_id=ModelId(
            check_model_name(variables[environment.MODEL_NAME]),
            check_version(variables[environment.MODEL_VERSION]),
        ),
        input_type=parse_input_type(variables.get(environment.INPUT_TYPE) or "doubles"),
        frontend_addresses=(variables.get(environment.FRONTEND_SOCKET) or f"{host}:{port}",),
        model_path=model_folder(variables),
        ready_file=Path(variables[environment.READY_FILE]) if variables.get(environment.READY_FILE) else None,
        text_outputs="text" if variables.get(environment.TEXT_OUTPUTS) == "text" else "json",
        load_timeout_s=_seconds(environment.LOAD_TIMEOUT_S, variables, None),
        hang_timeout_s=_seconds(environment.HANG_TIMEOUT_S, variables, environment.DEFAULT_HANG_TIMEOUT_S),
        credentials=_read_credentials(variables),
        follows_frontends=bool(variables.get(environment.FOLLOW_FRONTENDS)),
    )


def model_folder(variables: Mapping[str, str] = os.environ) -> Path:
    """Return the folder of the model."""
    return Path(variables.get(environment.MODEL_PATH) or "/model")


def _read_credentials(variables: Mapping[str, str]) -> ReplicaCredentials | None:
    path, name = variables.get(environment.REPLICA_CREDENTIALS_FILE), variables.get(environment.REPLICA_NAME)
    if not path:
        return None
    try:
        credentials = decode_credentials(Path(path).read_text())
        return member_of(credentials, name) if name else credentials
    except OSError as exc:
        raise InvalidRequestError(f"The file with the replica's credentials cannot be read: {exc}.") from exc


def _seconds(name: str, variables: Mapping[str, str], default_s: float | None) -> float | None:
    text = variables.get(name)
    try:
        return (None if text == environment.NONE else float(text)) if text else default_s
    except ValueError as exc:
        raise InvalidRequestError(f"The environment variable {name} is {text!r}, not a number of seconds.") from exc
