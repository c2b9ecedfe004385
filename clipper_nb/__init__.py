"""Deploy a model from a notebook cell to an endpoint that one can trust."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from clipper_nb.version import __version__ as __version__

if TYPE_CHECKING:
    from clipper_nb.connection import ClipperConnection
    from clipper_nb.container_managers.docker.manager import DockerContainerManager
    from clipper_nb.container_managers.kubernetes.manager import KubernetesContainerManager
    from clipper_nb.container_managers.local.manager import LocalContainerManager
    from clipper_nb.container_managers.tls.files import TlsFiles
    from clipper_nb.errors import (
        ApplicationNotFoundError,
        BaseImageError,
        ClaimLostError,
        ClipperException,
        ClusterError,
        ClusterFolderError,
        ClusterNotFoundError,
        ClusterStartError,
        ClusterUnreachableError,
        ConfigurationFileError,
        DeploymentError,
        DiskFullError,
        EngineUnreachableError,
        ExistsError,
        ImageBuildError,
        ImageNotFoundError,
        IncompatibleClusterError,
        IncompatibleEnvironmentError,
        InputTypeConflictError,
        InvalidInputError,
        InvalidNameError,
        InvalidRequestError,
        ManagementError,
        ModelImportError,
        ModelLoadError,
        ModelNotFoundError,
        NotFoundError,
        PackageInstallError,
        ParityError,
        PredictionError,
        ProtocolError,
        RegistryError,
        ReplicaMemoryError,
        ReplicaStartError,
        RollOutTimeoutError,
        SerializationError,
        StartTimeoutError,
        StateUnavailableError,
        UnauthorizedError,
        UnconnectedException,
        VersionClaimedError,
        VersionExistsError,
    )
    from clipper_nb.protocol.feedback_call import Feedback
    from clipper_nb.protocol.policies import Policy
    from clipper_nb.protocol.query_history import QueryHistory
    from clipper_nb.protocol.records import Prediction
    from clipper_nb.protocol.resource_limits import ResourceLimits
    from clipper_nb.protocol.roll_out import RollOutInfo
    from clipper_nb.protocol.traffic import ApplicationTraffic, TrafficTarget

__all__ = [
    "ApplicationNotFoundError",
    "ApplicationTraffic",
    "BaseImageError",
    "ClaimLostError",
    "ClipperConnection",
    "ClipperException",
    "ClusterError",
    "ClusterFolderError",
    "ClusterNotFoundError",
    "ClusterStartError",
    "ClusterUnreachableError",
    "ConfigurationFileError",
    "DeploymentError",
    "DiskFullError",
    "DockerContainerManager",
    "EngineUnreachableError",
    "ExistsError",
    "Feedback",
    "ImageBuildError",
    "ImageNotFoundError",
    "IncompatibleClusterError",
    "IncompatibleEnvironmentError",
    "InputTypeConflictError",
    "InvalidInputError",
    "InvalidNameError",
    "InvalidRequestError",
    "KubernetesContainerManager",
    "LocalContainerManager",
    "ManagementError",
    "ModelImportError",
    "ModelLoadError",
    "ModelNotFoundError",
    "NotFoundError",
    "PackageInstallError",
    "ParityError",
    "Policy",
    "Prediction",
    "PredictionError",
    "ProtocolError",
    "QueryHistory",
    "RegistryError",
    "ReplicaMemoryError",
    "ReplicaStartError",
    "ResourceLimits",
    "RollOutInfo",
    "RollOutTimeoutError",
    "SerializationError",
    "StartTimeoutError",
    "StateUnavailableError",
    "TlsFiles",
    "TrafficTarget",
    "UnauthorizedError",
    "UnconnectedException",
    "VersionClaimedError",
    "VersionExistsError",
]

_HOMES = {
    "ApplicationTraffic": "clipper_nb.protocol.traffic",
    "ClipperConnection": "clipper_nb.connection",
    "DockerContainerManager": "clipper_nb.container_managers.docker.manager",
    "Feedback": "clipper_nb.protocol.feedback_call",
    "KubernetesContainerManager": "clipper_nb.container_managers.kubernetes.manager",
    "LocalContainerManager": "clipper_nb.container_managers.local.manager",
    "Policy": "clipper_nb.protocol.policies",
    "Prediction": "clipper_nb.protocol.records",
    "QueryHistory": "clipper_nb.protocol.query_history",
    "ResourceLimits": "clipper_nb.protocol.resource_limits",
    "RollOutInfo": "clipper_nb.protocol.roll_out",
    "TlsFiles": "clipper_nb.container_managers.tls.files",
    "TrafficTarget": "clipper_nb.protocol.traffic",
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


def load_ipython_extension(shell: Any) -> None:
    """Make the magics known: ``%load_ext clipper_nb``."""
    shell.register_magics(importlib.import_module("clipper_nb.magics").ClipperMagics)
