"""Deploy a model from a notebook cell to an endpoint that one can trust."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clipper_nb.connection import ClipperConnection
    from clipper_nb.container_managers.local import LocalContainerManager
    from clipper_nb.errors import (
        ApplicationNotFoundError,
        ClipperException,
        ClusterError,
        ClusterNotFoundError,
        ClusterStartError,
        ClusterUnreachableError,
        DeploymentError,
        ExistsError,
        ImageBuildError,
        ImageNotFoundError,
        InputTypeConflictError,
        InvalidInputError,
        InvalidNameError,
        InvalidRequestError,
        ManagementError,
        ModelImportError,
        ModelLoadError,
        ModelNotFoundError,
        NotFoundError,
        PredictionError,
        ProtocolError,
        ReplicaStartError,
        SerializationError,
        StartTimeoutError,
        StateUnavailableError,
        UnconnectedException,
        VersionExistsError,
    )
    from clipper_nb.protocol.records import Prediction

__version__ = "0.1.0"

__all__ = [
    "ApplicationNotFoundError",
    "ClipperConnection",
    "ClipperException",
    "ClusterError",
    "ClusterNotFoundError",
    "ClusterStartError",
    "ClusterUnreachableError",
    "DeploymentError",
    "ExistsError",
    "ImageBuildError",
    "ImageNotFoundError",
    "InputTypeConflictError",
    "InvalidInputError",
    "InvalidNameError",
    "InvalidRequestError",
    "LocalContainerManager",
    "ManagementError",
    "ModelImportError",
    "ModelLoadError",
    "ModelNotFoundError",
    "NotFoundError",
    "Prediction",
    "PredictionError",
    "ProtocolError",
    "ReplicaStartError",
    "SerializationError",
    "StartTimeoutError",
    "StateUnavailableError",
    "UnconnectedException",
    "VersionExistsError",
]

_HOMES = {
    "ClipperConnection": "clipper_nb.connection",
    "LocalContainerManager": "clipper_nb.container_managers.local",
    "Prediction": "clipper_nb.protocol.records",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the serving processes import this package too, and need none."""
    if name not in __all__:
        raise AttributeError(f"module 'clipper_nb' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES.get(name, "clipper_nb.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
