"""Every exception that clipper_nb raises.

ClipperException                       the base class: catches every error of clipper_nb
├─ UnconnectedException                call connect() or start_clipper() first
├─ InvalidRequestError                 the caller can fix it
│  ├─ InvalidNameError                 an application, model or cluster name, or a version
│  ├─ UnauthorizedError                a client has no token, or one that is not good for what it asks
│  ├─ InvalidInputError                a query's input does not fit the application's input type
│  └─ InputTypeConflictError           a linked application takes another input type than the version
├─ NotFoundError
│  ├─ ApplicationNotFoundError  ModelNotFoundError  ImageNotFoundError
├─ ExistsError                         that name is taken
│  ├─ VersionExistsError               the model has that version, and versions are immutable
│  ├─ VersionClaimedError              another caller deploys or scales that version now
│  └─ ClaimLostError                   another caller stopped the version, or took it over, meanwhile
├─ ClusterError                        the cluster itself: cannot start, cannot be reached
│  ├─ ClusterNotFoundError  ClusterUnreachableError
│  ├─ ClusterStartError
│  │  └─ ClusterFolderError            a folder is not the cluster's own, or others may write there; it is left alone
│  └─ EngineUnreachableError           no Docker Engine answers
├─ DeploymentError
│  ├─ SerializationError               the function cannot leave the notebook
│  ├─ IncompatibleEnvironmentError     one side cannot read what the other pickled; both are named
│  ├─ IncompatibleClusterError         the cluster runs another release of clipper_nb than the notebook
│  ├─ ImageBuildError                  packages or files could not be put into the image
│  │  ├─ PackageInstallError           pip could not install a package
│  │  ├─ BaseImageError                the base image could not be found or pulled, or cannot be built upon
│  │  └─ DiskFullError                 no space is left where images are made
│  ├─ RegistryError                    an image could not be pushed or pulled
│  ├─ ReplicaStartError                a replica ended while it was loading the model
│  │  ├─ ModelImportError              a module is missing there
│  │  ├─ ModelLoadError                loading the model raised
│  │  ├─ ParityError                   answers to the samples differ from the notebook's
│  │  └─ ReplicaMemoryError            it was killed at its memory limit
│  └─ StartTimeoutError                replicas did not become ready in time
├─ RollOutTimeoutError                 a roll-out is still under way; it goes on
├─ ManagementError                     the management frontend returned an unexpected answer
├─ ConfigurationFileError              the file of an exported configuration cannot be written or read
├─ PredictionError                     the model raised, or returned the wrong length or type
├─ StateUnavailableError               Redis does not answer; it says whether anything may have been changed
└─ ProtocolError                       malformed frame or wrong protocol version

The two ``…Exception`` names are Clipper's. Exceptions take facts and build their own message.
"""

from __future__ import annotations

from clipper_nb.errors.base import ClipperException
from clipper_nb.errors.cluster import (
    ClusterError,
    ClusterFolderError,
    ClusterNotFoundError,
    ClusterStartError,
    ClusterUnreachableError,
    EngineUnreachableError,
    ManagementError,
    PredictionError,
    ProtocolError,
    StateUnavailableError,
)
from clipper_nb.errors.deployment import (
    BaseImageError,
    DeploymentError,
    DiskFullError,
    ImageBuildError,
    IncompatibleClusterError,
    IncompatibleEnvironmentError,
    ModelImportError,
    ModelLoadError,
    PackageInstallError,
    ParityError,
    RegistryError,
    ReplicaMemoryError,
    ReplicaStartError,
    RollOutTimeoutError,
    SerializationError,
    StartTimeoutError,
)
from clipper_nb.errors.requests import (
    ApplicationNotFoundError,
    ClaimLostError,
    ConfigurationFileError,
    ExistsError,
    ImageNotFoundError,
    InputTypeConflictError,
    InvalidInputError,
    InvalidNameError,
    InvalidRequestError,
    ModelNotFoundError,
    NotFoundError,
    UnauthorizedError,
    UnconnectedException,
    VersionClaimedError,
    VersionExistsError,
)

__all__ = [
    "ApplicationNotFoundError",
    "BaseImageError",
    "ClaimLostError",
    "ClipperException",
    "ClusterError",
    "ClusterFolderError",
    "ClusterNotFoundError",
    "ClusterStartError",
    "ClusterUnreachableError",
    "ConfigurationFileError",
    "DeploymentError",
    "DiskFullError",
    "EngineUnreachableError",
    "ExistsError",
    "ImageBuildError",
    "ImageNotFoundError",
    "IncompatibleClusterError",
    "IncompatibleEnvironmentError",
    "InputTypeConflictError",
    "InvalidInputError",
    "InvalidNameError",
    "InvalidRequestError",
    "ManagementError",
    "ModelImportError",
    "ModelLoadError",
    "ModelNotFoundError",
    "NotFoundError",
    "PackageInstallError",
    "ParityError",
    "PredictionError",
    "ProtocolError",
    "RegistryError",
    "ReplicaMemoryError",
    "ReplicaStartError",
    "RollOutTimeoutError",
    "SerializationError",
    "StartTimeoutError",
    "StateUnavailableError",
    "UnauthorizedError",
    "UnconnectedException",
    "VersionClaimedError",
    "VersionExistsError",
]

for _name in __all__:  # a traceback names an exception as callers import it
    globals()[_name].__module__ = __name__
