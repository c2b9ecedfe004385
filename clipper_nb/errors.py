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

from collections.abc import Mapping, Sequence


class ClipperException(Exception):
    """Base class of everything that clipper_nb raises; ``msg`` is the message."""

    def __init__(self, msg: str) -> None:
        super().__init__(msg)
        self.msg = msg


class UnconnectedException(ClipperException):
    """A method that needs a cluster was called before ``start_clipper()`` or ``connect()``."""

    def __init__(self, method: str = "This method") -> None:
        super().__init__(f"{method} needs a cluster: call start_clipper() or connect() first.")


class InvalidRequestError(ClipperException):
    """The caller asked for something invalid; the message says what to change."""


class InvalidNameError(InvalidRequestError):
    """A name or version breaks its rule."""

    def __init__(self, what: str, value: object, rule: str) -> None:
        super().__init__(f"{value!r} is not a valid {what}: {rule}")
        self.what, self.value, self.rule = what, value, rule


class UnauthorizedError(InvalidRequestError):
    """The query frontend asks for a token, or the one that it got is not good for what was asked."""


class InvalidInputError(InvalidRequestError):
    """An input does not fit the input type it is sent to."""


class InputTypeConflictError(InvalidRequestError):
    """A version takes another input type than an application that its model is linked to."""

    def __init__(self, model_name: str, input_type: str, application_name: str, application_type: str) -> None:
        super().__init__(
            f"Model '{model_name}' is linked to application '{application_name}', which takes {application_type}; a "
            f"version that takes {input_type} cannot serve it."
        )
        self.model_name, self.input_type = model_name, input_type
        self.application_name, self.application_type = application_name, application_type


class NotFoundError(ClipperException):
    """The thing that was named does not exist."""


class ApplicationNotFoundError(NotFoundError):
    """No application has that name."""

    def __init__(self, name: str, known: Sequence[str] | None = None) -> None:
        super().__init__(f"No application with name '{name}' exists.{_known('Applications', known)}")
        self.name = name


class ModelNotFoundError(NotFoundError):
    """No model has that name, or the model has no such version."""

    def __init__(self, name: str, version: str | None = None, known: Sequence[str] | None = None) -> None:
        if version is None:
            sentence = f"No model with name '{name}' exists.{_known('Models', known)}"
        else:
            sentence = f"No model with name '{name}' and version '{version}' exists.{_known('Versions', known)}"
        super().__init__(sentence)
        self.name, self.version = name, version


class ImageNotFoundError(NotFoundError):
    """The image of a model version is missing where replicas are started."""

    def __init__(self, image: str, hint: str) -> None:
        super().__init__(f"There is no image '{image}'. {hint}")
        self.image = image


class ExistsError(ClipperException):
    """That name is already taken."""


class VersionExistsError(ExistsError):
    """The model has that version already; *free* is one that it does not have."""

    def __init__(self, name: str, version: str, free: str) -> None:
        super().__init__(
            f"Model '{name}' already has a version '{version}', and versions are immutable. Version '{free}' is free; "
            "a deploy with version=None takes it."
        )
        self.name, self.version, self.free = name, version, free


class VersionClaimedError(ExistsError):
    """Another caller deploys or scales that version at this moment."""


class ClaimLostError(ExistsError):
    """Another caller stopped, or took over, the version that was being deployed or scaled."""

    def __init__(self, model_id: str) -> None:
        super().__init__(
            f"{model_id} was stopped by another caller while it was being deployed or scaled, or this process was "
            "suspended for so long that the cluster considered it dead. Deploy it again."
        )
        self.model_id = model_id


class ClusterError(ClipperException):
    """The cluster cannot be started or reached."""


class ClusterStartError(ClusterError):
    """The cluster does not come up."""

    def __init__(self, what: str, log_tail: str = "") -> None:
        super().__init__(what + _log_end(log_tail))
        self.log_tail = log_tail


class ClusterFolderError(ClusterStartError):
    """A folder is not the cluster's own, or others may write there; nothing in it was touched."""


class ClusterNotFoundError(ClusterError):
    """No cluster with that name runs here."""


class ClusterUnreachableError(ClusterError):
    """A frontend or the cluster's supervisor did not answer in time.

    Attributes
    ----------
    is_passing : bool
        Whether the connection was refused or broke, as happens while a frontend restarts.
    """

    def __init__(self, msg: str, *, is_passing: bool = False) -> None:
        super().__init__(msg)
        self.is_passing = is_passing


class EngineUnreachableError(ClusterError):
    """No Docker Engine answers."""

    def __init__(self, address: str, what: str) -> None:
        super().__init__(
            f"No Docker Engine answers at {address}, {what.rstrip('.')}. Start it, or set DOCKER_HOST to where it is. "
            "Without Docker, LocalContainerManager() runs the same cluster as local processes."
        )
        self.address = address


class DeploymentError(ClipperException):
    """A model version could not be deployed; nothing of it is left, and the old version keeps serving."""


class SerializationError(DeploymentError):
    """The function, or something it captured, cannot be pickled."""


class IncompatibleEnvironmentError(DeploymentError):
    """One side cannot read what the other has pickled.

    Attributes
    ----------
    conflicts : dict
        The version on each side, by name.
    exit_status : int or None
        The replica's exit status, if a replica refused to load the model.
    log_tail : str
        The last lines that it wrote.
    """

    def __init__(
        self,
        model_id: str,
        conflicts: Mapping[str, Sequence[str]],
        *,
        sides: tuple[str, str] = ("notebook", "replica"),
        hint: str = "",
        exit_status: int | None = None,
        log_tail: str = "",
    ) -> None:
        rows = [("", *sides), *((name, *versions) for name, versions in conflicts.items())]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
        table = "\n".join(f"    {line}" for line in lines)
        advice = f"\n{hint}" if hint else ""
        super().__init__(
            f"{model_id} was pickled by versions that {sides[1]} does not have; their minor versions must be the "
            f"same:\n{table}{advice}{_log_end(log_tail)}"
        )
        self.model_id, self.conflicts = model_id, {name: tuple(found) for name, found in conflicts.items()}
        self.exit_status, self.log_tail = exit_status, log_tail


class IncompatibleClusterError(DeploymentError):
    """The cluster runs another release of clipper_nb than the notebook has."""

    def __init__(self, cluster_name: str, cluster_version: str, notebook_version: str) -> None:
        super().__init__(
            f"Cluster '{cluster_name}' runs clipper_nb {cluster_version} and this notebook {notebook_version}; the "
            "cluster may be unable to serve what this notebook deploys. Deploy from a notebook that has the cluster's "
            "version, or restart the cluster with stop_all() and start_clipper(), and deploy its models again."
        )
        self.cluster_name, self.cluster_version = cluster_name, cluster_version
        self.notebook_version = notebook_version


class ImageBuildError(DeploymentError):
    """The image could not be built."""

    def __init__(self, what: str, log_tail: str = "") -> None:
        super().__init__(what + _log_end(log_tail))
        self.log_tail = log_tail


class PackageInstallError(ImageBuildError):
    """pip could not install a package; ``log_tail`` has pip's output."""


class BaseImageError(ImageBuildError):
    """The base image could not be found or pulled, or does not fit the notebook."""


class DiskFullError(ImageBuildError):
    """No space is left where images and containers are made."""


class RegistryError(DeploymentError):
    """An image could not be pushed to a registry, or pulled from it."""


class ReplicaStartError(DeploymentError):
    """A replica ended before it was ready.

    Attributes
    ----------
    exit_status : int or None
        The process's exit status; negative is the signal that ended it.
    log_tail : str
        The last lines that the replica wrote.
    """

    def __init__(
        self,
        model_id: str,
        reason: str,
        *,
        exit_status: int | None = None,
        log_tail: str = "",
        hint: str = "",
        subject: str = "A replica of",
    ) -> None:
        advice = f" {hint}" if hint else ""
        super().__init__(f"{subject} {model_id} {reason}.{advice}{_log_end(log_tail)}")
        self.model_id, self.exit_status, self.log_tail = model_id, exit_status, log_tail


class ModelImportError(ReplicaStartError):
    """The replica could not import a module that the model needs."""


class ModelLoadError(ReplicaStartError):
    """Loading the model raised in the replica."""


class ParityError(ReplicaStartError):
    """A replica's answers to the samples differ from the notebook's, or a function's from call to call."""


class ReplicaMemoryError(ReplicaStartError):
    """The replica was killed because it exceeded its memory limit."""


class StartTimeoutError(DeploymentError):
    """Replicas were not ready by the deadline."""

    def __init__(
        self,
        model_id: str,
        *,
        num_ready: int,
        num_replicas: int,
        waited_s: float,
        log_tail: str = "",
        hint: str = "",
    ) -> None:
        advice = hint or "If the model needs longer to load, pass timeout_s=."
        super().__init__(
            f"{num_ready} of {num_replicas} replicas of {model_id} were ready after {waited_s:.1f} s. {advice}"
            f"{_log_end(log_tail)}"
        )
        self.model_id, self.num_ready, self.num_replicas = model_id, num_ready, num_replicas
        self.waited_s, self.log_tail = waited_s, log_tail


class RollOutTimeoutError(ClipperException):
    """A roll-out had not ended when the wait for it was over; it goes on."""

    def __init__(self, roll_out: str, timeout_s: float) -> None:
        super().__init__(
            f"After {timeout_s:g} s this roll-out is still under way, and it goes on: {roll_out}. Wait longer, or end "
            "it with abort() or promote()."
        )
        self.timeout_s = timeout_s


class ManagementError(ClipperException):
    """The management frontend answered with an unexpected status."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"The management frontend answered with status {status}: {body[:500]}")
        self.status, self.body = status, body


class ConfigurationFileError(ClipperException):
    """The file of an exported configuration cannot be written or read; the message says why."""


class PredictionError(ClipperException):
    """The model raised, or returned something that is not one output per input.

    Attributes
    ----------
    exception_type : str
        Name of the exception's class in the model container.
    traceback_text : str
        The exception's traceback in the model container; empty when there is none.
    """

    def __init__(self, message: str, exception_type: str = "PredictionError", traceback_text: str = "") -> None:
        super().__init__(message)
        self.exception_type, self.traceback_text = exception_type, traceback_text


class StateUnavailableError(ClipperException):
    """Redis does not answer, so the configuration cannot be read or changed.

    Attributes
    ----------
    is_in_doubt : bool
        Whether the change that was asked for may have been made.
    """

    def __init__(self, msg: str, *, is_in_doubt: bool = False) -> None:
        super().__init__(msg)
        self.is_in_doubt = is_in_doubt


class ProtocolError(ClipperException):
    """A frame or body is malformed, or speaks another version of the protocol."""


def _known(what: str, names: Sequence[str] | None) -> str:
    if names is None:
        return ""
    if not names:
        return f" There are no {what.lower()} yet."
    shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    return f" {what}: {shown}."


def _log_end(log_tail: str) -> str:
    return f"\nEnd of its log:\n{log_tail.rstrip()}" if log_tail.strip() else ""
